"""What an audio model of transformers is made of, and where it comes from: a folder, the hub, a file of CTranslate2."""

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, WhisperConfig

from inarch import RecipeError, WeightsError, absolute, find_model, quiet, read_state
from inarch_audio.ctranslate2 import is_whisper, read_whisper

_CONFIG, _FRONT_END = "config.json", "preprocessor_config.json"
_WEIGHTS = ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
_UNSAFE = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack"]
_BLOCK = re.compile(r"(?:^|\.)layers?\.(\d+)\.")
_CONVERT = (
    "no pickle is ever opened, for it may run code. Where you trust it, convert it once with transformers: "
    "AutoModel.from_pretrained(FOLDER, use_safetensors=False).save_pretrained(FOLDER)"
)


@dataclass(frozen=True)
class Source:
    """A model that can be made, and whose weights can be fetched later."""

    model: str
    revision: str | None
    config: Any
    """Of transformers."""
    front_end: Mapping[str, Any]
    """preprocessor_config.json; empty where there is none."""
    depth: int | None = None
    """How many of the file's blocks there are, as `config` says too; None: all."""

    def shortened(self, depth: int | None) -> "Source":
        """Return the same model with its first blocks alone."""
        if depth is None:
            return self
        config = copy.deepcopy(self.config)
        if depth > config.num_hidden_layers:
            raise RecipeError(f"backbone.depth: {self.model} has {config.num_hidden_layers} blocks, found {depth}")
        config.num_hidden_layers = depth
        return replace(self, config=config, depth=depth)

    def state(self, weights: str) -> tuple[dict[str, Tensor], str]:
        """Return tensors, by the names of their file, and what to call it in an error; blocks beyond `depth` less."""
        state, origin = self._read(weights)
        blocks = {name: match for name in state if (match := _BLOCK.search(name))}
        kept = {name for name in state if name not in blocks or int(blocks[name][1]) < (self.depth or len(state))}
        return {name: tensor for name, tensor in state.items() if name in kept}, origin

    def _read(self, weights: str) -> tuple[dict[str, Tensor], str]:
        if weights != "pretrained":
            if not weights.endswith(".safetensors"):
                raise WeightsError(f"backbone.weights: expected a safetensors file, found {weights}; {_CONVERT}")
            return read_state(weights), weights
        place = find_model(self.model, _WEIGHTS, self.revision)
        if converted := _converted(place):
            return read_whisper(converted)[1], self.model
        single = place / "model.safetensors"
        files = [single] if single.is_file() else sorted(place.glob("model-*.safetensors"))
        if not files:
            unsafe = sorted(path.name for pattern in _UNSAFE for path in place.glob(pattern))
            told = f"only {', '.join(unsafe)}; {_CONVERT}" if unsafe else f"nothing to load in {place}"
            raise WeightsError(f"{self.model}: has no model.safetensors, {told}. Or write weights: none.")
        return {name: tensor for file in files for name, tensor in read_state(file).items()}, self.model

    def files(self) -> dict[str, bytes]:
        """Return what a bundle needs to make the model again."""
        config = json.loads(self.config.to_json_string(use_diff=False))
        kept = {_CONFIG: config, _FRONT_END: dict(self.front_end)}
        return {name: json.dumps(content, indent=1).encode() for name, content in kept.items()}


def open_source(model: str, revision: str | None, files: str | None) -> Source:
    """Find a model, in the folder `files` of a bundle if there is one."""
    model = absolute(model)
    place = Path(files) if files else find_model(model, [_CONFIG, _FRONT_END], revision)
    if not files and (converted := _converted(place)):
        return Source(model, None, WhisperConfig(**read_whisper(converted)[0]), {})
    if not (place / _CONFIG).is_file():
        raise WeightsError(f"{model}: expected a folder with a {_CONFIG}, as save_pretrained writes it")
    try:
        with quiet():
            config = AutoConfig.from_pretrained(place, trust_remote_code=False)  # None would ask on the terminal
        front_end = json.loads((place / _FRONT_END).read_bytes()) if (place / _FRONT_END).is_file() else {}
    except (OSError, ValueError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise RecipeError(f"{model} cannot be opened by transformers: {told[:300]}") from error
    commit = place.name if place.parent.name == "snapshots" else None  # where the hub's client keeps its copies
    return Source(model, commit or revision, config, front_end)


def without_head(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return a state without `prefix`; where a file has names with it, those without belong to a head."""
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return inside or dict(state)


def load(network: Any, config: Any, state: Mapping[str, Tensor], origin: str) -> None:
    """Load tensors into a network of transformers, strictly.

    transformers opens a second one, for it renames parameters only while it does.
    """
    try:
        with quiet():
            loaded, info = type(network).from_pretrained(
                None,
                config=copy.deepcopy(config),
                state_dict=dict(state),
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below, with the rest
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{origin}: the weights do not fit the model: {str(error).splitlines()[0]}") from error
    problems = {
        "missing": info["missing_keys"],
        "unexpected": info["unexpected_keys"],
        "of another shape": [key for key, *_ in info["mismatched_keys"]],
    }
    told = [f"{len(keys)} {what}: {', '.join(sorted(keys)[:5])}" for what, keys in problems.items() if keys]
    if told:
        raise WeightsError(f"{origin}: the weights do not fit the model; " + "; ".join(told))
    network.load_state_dict(loaded.state_dict())


def _converted(place: Path) -> Path | None:
    """Return the file of CTranslate2 that a place is or holds, if it is Whisper's."""
    path = place / "model.bin" if place.is_dir() else place
    return path if path.is_file() and (not place.is_dir() or is_whisper(path)) else None
