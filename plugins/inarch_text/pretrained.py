"""What a model is made of, and where it comes from: configuration, tokenizer and weights, from a folder or the hub."""

import copy
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from inarch import RecipeError, RunError, WeightsError, find_model, quiet, read_state

ATTENTION: str | None = None
"""How attention is computed; None is transformers' choice: `sdpa` where the model has it, else `eager`."""
_SMALL = ["*.json", "*.txt", "*.model", "*.tiktoken"]
_WEIGHTS = ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
_UNSAFE = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack"]
# Parts that a file may have or lack. Of a file with the prefix of its model (bert.encoder...), heads are what has none.
_POOLER = r"(^|\.)(pooler|position_ids)(\.|$)"
_HEADS = r"lm_head|embed_out|cls\.|classifier|score|qa_outputs|\w*predictions|vocab_(transform|layer_norm|projector)"


def find(model: str, revision: str | None, code: bool, weights: bool = False) -> Path:
    """Return the folder of a model; of one on the hub, a copy with its small files, or with `weights` those."""
    folder = find_model(model, _WEIGHTS if weights else [*_SMALL, *(["*.py"] if code else [])], revision)
    if not weights and not (folder / "config.json").is_file():
        raise WeightsError(f"{model}: expected a folder with a config.json, as save_pretrained writes it")
    return folder


_trusted: list[dict[str, bytes]] = []


def trust(code: dict[str, bytes], model: str, bundle: bool) -> None:
    """Remember the files of code that a recipe of this process allows; refuse those that a bundle brings.

    Who opens a bundle need not be who allowed the code that is in it. Only a process that trained opens its own.
    """
    if not bundle:
        _trusted.append(code)
    elif code not in _trusted and os.environ.get("INARCH_REMOTE_CODE") != "allow":
        raise RunError(
            f"the bundle brings the code of {model} ({', '.join(sorted(code)) or 'fetched from the hub'}), which would "
            "run on this machine. Where you trust who made the bundle, set the environment variable "
            "INARCH_REMOTE_CODE=allow"
        )


def read_config(folder: Path, model: str, code: bool) -> Any:
    """Return the configuration of a model."""
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=code)
    except (OSError, ValueError) as error:
        raise _refused(model, error) from error


def make(config: Any, model: str, code: bool) -> Any:
    """Return a model with random weights, in float32 whatever its file holds."""
    arguments = {"attn_implementation": ATTENTION} if ATTENTION else {}
    try:
        return AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=code, **arguments)
    except (OSError, ValueError) as error:
        raise _refused(model, error) from error


def read_tokenizer(folder: Path, model: str, code: bool) -> tuple[Tokenizer, dict[str, Any]]:
    """Return the fast tokenizer, and what its own file does not say: `pad` (id or None), `eos`, `longest` (tokens)."""
    if (folder / "tokens.json").is_file():  # a bundle's
        told: dict[str, Any] = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
        return Tokenizer.from_file(str(folder / "tokenizer.json")), told
    try:
        found = AutoTokenizer.from_pretrained(folder, trust_remote_code=code)
    except Exception as error:  # a damaged file can raise anything
        raise _refused(f"the tokenizer of {model}", error) from error
    if not found.is_fast:
        raise WeightsError(
            f"{model}: {type(found).__name__} is a slow tokenizer, written in Python, which does not say where its "
            "tokens are. Take a model that brings a tokenizer.json."
        )
    names = found.vocab_files_names.values()
    if not any((folder / name).is_file() for name in names):  # transformers makes one that knows no word
        raise WeightsError(f"{model}: has no tokenizer, expected one of {', '.join(names)} in {folder}")
    tokenizer = found.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    longest = found.model_max_length
    return tokenizer, {
        "pad": found.pad_token_id,
        "eos": found.eos_token_id,
        "longest": longest if longest < 1e9 else None,  # transformers writes 1e30 for what is not known
    }


def read_state_of(folder: Path, model: str) -> dict[str, Tensor]:
    """Return the tensors of a folder, of one file or of its shards."""
    single = folder / "model.safetensors"
    files = [single] if single.is_file() else sorted(folder.glob("model-*.safetensors"))
    if not files:
        raise WeightsError(_no_safetensors(model, folder))
    return {name: tensor for file in files for name, tensor in read_state(file).items()}


def read_safetensors(address: str) -> dict[str, Tensor]:
    """Return the tensors of one file."""
    if not address.endswith(".safetensors"):
        raise WeightsError(f"backbone.weights: expected a safetensors file, found {address}; {_CONVERT}")
    return read_state(address)


def load(kind: Any, config: Any, state: dict[str, Tensor], origin: str) -> Any:
    """Return a second model with the tensors of `state`, strictly.

    A second one, because transformers renames, splits and ties parameters only while it opens one.
    """
    try:
        with quiet():
            model, info = kind.from_pretrained(
                None,
                config=copy.deepcopy(config),
                state_dict=dict(state),
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below, with the rest
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{origin}: the weights do not fit the model: {str(error).splitlines()[0]}") from error
    _refuse_misfits(info, model, state, origin)
    return model


_CONVERT = (
    "no pickle is ever opened, for it may run code. Where you trust it, convert it once with transformers: "
    "AutoModel.from_pretrained(FOLDER, use_safetensors=False).save_pretrained(FOLDER)"
)


def _refuse_misfits(info: dict[str, Any], model: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Raise WeightsError on keys that are missing, unexpected or of another shape, less heads and poolers."""
    prefix = f"{model.base_model_prefix}."
    wrapped = any(key.startswith(prefix) for key in state) and not any(
        key.startswith(prefix) for key in model.state_dict()
    )
    unneeded = r"|(^|\.)decoder\." if model.config.is_encoder_decoder else ""
    fine = re.compile(_POOLER + unneeded)
    head = re.compile(f"(?!{re.escape(prefix)})") if wrapped else re.compile(_HEADS)
    problems = {
        "missing": [key for key in info["missing_keys"] if not fine.search(key)],
        "unexpected": [key for key in info["unexpected_keys"] if not fine.search(key) and not head.match(key)],
        "of another shape": [key for key, *_ in info["mismatched_keys"]],
    }
    told = [f"{len(keys)} {what}: {', '.join(sorted(keys)[:5])}" for what, keys in problems.items() if keys]
    if told:
        raise WeightsError(f"{origin}: the weights do not fit the model; " + "; ".join(told))


def _no_safetensors(model: str, folder: Path) -> str:
    unsafe = sorted(path.name for pattern in _UNSAFE for path in folder.glob(pattern))
    if unsafe:
        return f"{model}: has no model.safetensors, only {', '.join(unsafe)}; {_CONVERT}"
    return (
        f"{model}: there is no model.safetensors in {folder}. Of a model of the hub: it has none, or there is no "
        f"network. Of old files like pytorch_model.bin: {_CONVERT}. Or write weights: none."
    )


def _refused(model: str, error: Exception) -> RecipeError:
    told = " ".join(f"{type(error).__name__}: {error}".split())
    if "trust_remote_code" in told:
        return RecipeError(
            f"{model} brings code of its own, which would run on this machine. Where you trust its author, write "
            "remote_code: allow"
        )
    return RecipeError(f"{model} cannot be opened by transformers: {told[:300]}")
