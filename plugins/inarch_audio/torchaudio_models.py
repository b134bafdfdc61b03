"""The self-supervised models of torchaudio as backbones. Shapes: B batch, D features, N samples, T tokens."""

import pickle
from collections.abc import Mapping
from typing import Any

import torch
import torchaudio
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from torchaudio import pipelines
from torchaudio.models import wav2vec2_model, wavlm_model

from inarch import RecipeError, WeightsError, load_strictly, read_state, unknown
from inarch_audio.augment import Augment
from inarch_audio.depth import by_depth
from inarch_audio.waveform_models import WaveformBackbone

_EPSILON = 1e-5  # of the layer norm over the waveform
_OLD = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
"""How torch called the halves of a normalised weight before 2.0, when most of the files were written."""


class TorchaudioBackbone(WaveformBackbone):
    """A bundle of `torchaudio.pipelines` without the layer that was trained for its own labels."""

    def __init__(
        self,
        *,
        model: str,
        weights: str,
        layers: str,
        sample_rate: int,
        duration: float | None,
        overlap: float,
        augment: Augment,
    ) -> None:
        self._bundle = find_bundle(model)
        # Private names, because the public door of a bundle always downloads.
        params = {**self._bundle._params, "aux_num_out": None}
        # LayerDrop is off: what leaves whole blocks without a gradient cannot be trained on several devices.
        params["encoder_layer_drop"] = 0.0
        super().__init__(
            {"model": model, "weights": weights, "layers": layers},
            rates=(sample_rate, int(self._bundle.sample_rate)),
            duration=duration,
            overlap=overlap,
            augment=augment,
            convolutions=[(kernel, stride) for _, kernel, stride in params["extractor_conv_layer_config"]],
            group_norm=params["extractor_mode"] == "group_norm",
            epsilon=_EPSILON if self._bundle._normalize_waveform else None,
            blocks=params["encoder_num_layers"],
            num_features=params["encoder_embed_dim"],
        )
        self._wavlm = self._bundle._model_type == "WavLM"
        self.model = (wavlm_model if self._wavlm else wav2vec2_model)(**params)
        self._checkpointing = False
        self.facts = {"torchaudio": torchaudio.__version__}

    def load_weights(self) -> None:
        """Load the weights that the options name, less the layer for their own labels."""
        address = self.resolved["weights"]
        if address == "none":
            return
        state = _download(self._bundle, self.resolved["model"]) if address == "pretrained" else read_state(address)
        origin = self.resolved["model"] if address == "pretrained" else address
        load_strictly(self.model, _translate(state), origin)

    def encode(self, waveform: Tensor, samples: Tensor | None) -> list[Tensor]:
        """Return what enters the first block and what each says; here, for torchaudio gives WavLM no mask."""
        features, _ = self.model.feature_extractor(waveform, None)
        tokens = self.model.encoder.feature_projection(features)
        masks: dict[str, Tensor] = {}
        if samples is not None:
            padding = torch.arange(tokens.shape[1], device=tokens.device) >= self.frames(samples)[:, None]
            tokens = tokens.masked_fill(padding[..., None], 0.0)  # as the positional convolution pads by itself
            if self._wavlm:  # which adds its mask to a bias of positions
                nothing = torch.zeros_like(padding, dtype=torch.float32)
                masks["key_padding_mask"] = nothing.masked_fill(padding, -torch.inf)
            else:
                masks["attention_mask"] = ~padding[:, None, None].expand(-1, 1, tokens.shape[1], -1)
        blocks = self.model.encoder.transformer
        tokens = tokens + blocks.pos_conv_embed(tokens)
        if blocks.layer_norm_first:
            tokens = blocks.layer_norm(tokens)
        tokens = blocks.dropout(tokens)
        states, bias = [tokens], None
        for block in blocks.layers:
            if self._checkpointing and torch.is_grad_enabled():
                tokens, bias = checkpoint(block, tokens, position_bias=bias, use_reentrant=False, **masks)
            else:
                tokens, bias = block(tokens, position_bias=bias, **masks)
            states.append(tokens)
        if not blocks.layer_norm_first:
            states[-1] = blocks.layer_norm(tokens)
        return states

    def layers(self) -> list[list[str]]:
        """Return the convolutions, what lies between them and the blocks, each block, and what follows."""
        between = ("model.encoder.feature_projection.", "model.encoder.transformer.pos_conv_embed.")
        if self.model.encoder.transformer.layer_norm_first:
            between += ("model.encoder.transformer.layer_norm.",)
        names = (name for name, _ in self.named_parameters())
        return by_depth(names, [("model.feature_extractor.",), between], "model.encoder.transformer.layers.")

    def gradient_checkpointing(self) -> None:
        """Compute activations of blocks again in the backward pass from now on."""
        self._checkpointing = True


def find_bundle(model: str) -> Any:
    """Return a bundle by its name."""
    bundles = {name: b for name, b in vars(pipelines).items() if isinstance(b, pipelines.Wav2Vec2Bundle)}
    if model not in bundles:
        raise RecipeError("backbone.model: " + unknown("bundle of torchaudio", model, bundles))
    return bundles[model]


def _download(bundle: Any, model: str) -> dict[str, Tensor]:
    """Return the weights of a bundle, from torch's folder of downloads where they are there already."""
    try:
        state: dict[str, Tensor] = bundle._get_state_dict(
            {"map_location": "cpu", "progress": False, "weights_only": True}
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:  # no network; a damaged download
        folder = f"{torch.hub.get_dir()}/checkpoints"
        raise WeightsError(
            f"the weights of {model} could not be fetched ({type(error).__name__}: {error}). Without a network, put "
            f"the file {bundle._path.rsplit('/', 1)[-1]} of torchaudio into {folder}, let weights be the path of a "
            "file in its layout, or write weights: none. A damaged file there must be deleted."
        ) from error
    return state


def _translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state under the names of today, less the layer for labels."""
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("aux.")}
    for old, new in _OLD.items():
        kept = {name.removesuffix(old) + new if name.endswith(old) else name: kept[name] for name in kept}
    return kept
