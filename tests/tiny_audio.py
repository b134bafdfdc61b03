"""Tiny random audio models, batches of noise, and files of CTranslate2."""

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from torchaudio import pipelines

from inarch import quiet
from inarch_audio import builders

LENGTHS = [16000, 400, 8000, 12345, 8000]  # samples; 400 make one token


def noise(lengths: list[int] = LENGTHS) -> dict[str, Tensor]:
    """A batch of noise with an offset, padded at the end."""
    random = torch.Generator().manual_seed(0)
    waves = [0.05 + 0.2 * torch.randn(length, generator=random) for length in lengths]
    waveform = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    return {"waveform": waveform, "samples": torch.tensor(lengths), "clock": torch.tensor([[0.0, 1.0]] * len(lengths))}


def alone(batch: dict[str, Tensor], index: int, cut: bool = True) -> dict[str, Tensor]:
    """One example of a batch; `cut` drops its padding."""
    one = {name: tensor[index : index + 1] for name, tensor in batch.items()}
    return {**one, "waveform": one["waveform"][:, : int(one["samples"])]} if cut else one


def whole(example: dict[str, Tensor]) -> dict[str, Tensor]:
    """An example without the last samples, which no token of a kernel of 400 and a hop of 320 sees."""
    count = (example["samples"] - 400) // 320 * 320 + 400
    return {**example, "waveform": example["waveform"][:, : int(count)], "samples": count}


@torch.no_grad()
def farthest(backbone: Any, batch: dict[str, Tensor], cut: bool = True) -> float:
    """The largest difference of any real token or pooled feature between a batch and its examples alone."""
    together, found = backbone(**batch), []
    for index in range(len(batch["samples"])):
        one = backbone(**alone(batch, index, cut))
        count = int(one.mask.sum())
        assert count == int(together.mask[index].sum())
        found.append((one.tokens[0, :count] - together.tokens[index, :count]).abs().max().item())
        found.append((one.pooled[0] - together.pooled[index]).abs().max().item())
    return max(found)


@torch.no_grad()
def stir(module: torch.nn.Module) -> Any:
    """Move parameters away from their initial values, which are so small that all sounds look alike."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    return module.eval()


def bundle(name: str, **changes: Any) -> Any:
    """A bundle of torchaudio with narrow layers."""
    found = getattr(pipelines, name)
    narrow = {
        "extractor_conv_layer_config": [(8, *rest) for _, *rest in found._params["extractor_conv_layer_config"]],
        "encoder_embed_dim": 16, "encoder_num_layers": 2, "encoder_num_heads": 2, "encoder_ff_interm_features": 24,
        "encoder_pos_conv_groups": 2,
    }  # fmt: skip
    return dataclasses.replace(found, _params={**found._params, **narrow}, **changes)


WAVES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
LAYER_NORMS = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
WHISPER = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "vocab_size": 40, "max_source_positions": 100, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "begin_suppress_tokens": None,
}  # fmt: skip
AST = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_length": 98,
}  # fmt: skip
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2", WAVES),
    "wav2vec2-large": ("Wav2Vec2", WAVES | LAYER_NORMS),
    "hubert": ("Hubert", WAVES),
    "hubert-large": ("Hubert", WAVES | LAYER_NORMS),
    "wavlm": ("WavLM", WAVES),
    "wavlm-large": ("WavLM", WAVES | LAYER_NORMS),
    "whisper": ("Whisper", WHISPER),
    "ast": ("AST", AST),
}


def save(name: str, folder: Path, kind: str = "Model") -> Any:
    """Save a network as a folder in the hub's layout, and return it; `kind` is the end of its class's name."""
    family, options = NETWORKS[name]
    torch.manual_seed(0)
    with quiet():
        network = stir(getattr(transformers, family + kind)(getattr(transformers, f"{family}Config")(**options)))
        network.save_pretrained(folder)
    return network


def folders(temporary: Any) -> Callable[[str], Path]:
    """Return what saves a network by its name, once, in a folder of pytest's factory."""
    made: dict[str, Path] = {}

    def saved(name: str) -> Path:
        if name not in made:
            made[name] = temporary.mktemp(name)
            save(name, made[name])
        return made[name]

    return saved


def opened(model: Path, **options: Any) -> Any:
    """Return the backbone of a folder with its weights, in evaluation mode."""
    backbone = builders.transformers_audio(**{"model": str(model), "duration": None, **options})
    backbone.load_weights()
    return backbone.eval()


def ctranslate2(network: Any, kind: str = "f4") -> dict[str, np.ndarray]:
    """The variables that CTranslate2 writes of the encoder of a Whisper model, with one of its decoder."""
    state = {name: tensor.numpy() for name, tensor in network.encoder.state_dict().items()}
    found = {"encoder/position_encodings/encodings": state["embed_positions.weight"], "decoder/alibi": np.int8(0)}
    for norm in ("layer_norm", *(f"layers.{n}.{end}" for n in range(2) for end in _NORMS)):
        place = _place(norm)
        found |= {f"{place}/gamma": state[f"{norm}.weight"], f"{place}/beta": state[f"{norm}.bias"]}
    for plain in (
        "conv1",
        "conv2",
        *(f"layers.{n}.{end}" for n in range(2) for end in ("self_attn.out_proj", "fc1", "fc2")),
    ):
        found |= {f"{_place(plain)}/{part}": state[f"{plain}.{part}"] for part in ("weight", "bias")}
    for n in range(2):
        own = f"layers.{n}.self_attn."
        place = f"encoder/layer_{n}/self_attention/linear_0"
        biases = [state[f"{own}q_proj.bias"], np.zeros(16, np.float32), state[f"{own}v_proj.bias"]]
        found[f"{place}/weight"] = np.concatenate([state[f"{own}{letter}_proj.weight"] for letter in "qkv"])
        found[f"{place}/bias"] = np.concatenate(biases)
    floats = {name: value.astype(kind) for name, value in found.items() if value.dtype.kind == "f"}
    return {**found, **floats, "encoder/num_heads": np.int16(2)}


_NORMS = {"self_attn_layer_norm": "self_attention/layer_norm", "final_layer_norm": "ffn/layer_norm"}
_ENDS = {**_NORMS, "self_attn.out_proj": "self_attention/linear_1", "fc1": "ffn/linear_0", "fc2": "ffn/linear_1"}


def _place(name: str) -> str:
    if not name.startswith("layers."):
        return f"encoder/{name}"
    _, number, end = name.split(".", 2)
    return f"encoder/layer_{number}/{_ENDS[end]}"


def write_ctranslate2(
    path: Path,
    variables: dict[str, Any],
    aliases: dict[str, str] | None = None,
    spec: str = "WhisperSpec",
    version: int = 6,
) -> Path:
    """Write a model.bin: version, specification, revision, variables, aliases."""
    kinds = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", version), text(spec), struct.pack("<II", 3, len(variables))]
    for name, value in variables.items():
        parts += [text(name), struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)]
        parts += [struct.pack("<BI", kinds[value.dtype.name], value.nbytes), value.tobytes()]
    parts.append(struct.pack("<I", len(aliases or {})))
    parts += [text(alias) + text(name) for alias, name in (aliases or {}).items()]
    path.write_bytes(b"".join(parts))
    return path
