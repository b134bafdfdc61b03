"""What an audio model of transformers is made of, and where it comes from: a folder, the hub, a file of CTranslate2."""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from torch import Tensor
from transformers import AutoConfig, WhisperConfig
from transformers.utils import logging

from inarch import RecipeError, WeightsError, locate, read_state
from inarch_audio.ctranslate2 import is_whisper, read_whisper

_LOCAL = re.compile(r"package:|[./~]|[^/]*$|.*/.*/")
"""What cannot be owner/name of the hub."""
_CONFIG, _FRONT_END = "config.json", "preprocessor_config.json"
_WEIGHTS = ["model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
_UNSAFE = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack"]
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

    def state(self, weights: str) -> tuple[dict[str, Tensor], str]:
        """Return tensors, by the names of their file, and what to call it in an error."""
        if weights != "pretrained":
            if not weights.endswith(".safetensors"):
                raise WeightsError(f"backbone.weights: expected a safetensors file, found {weights}; {_CONVERT}")
            return read_state(weights), weights
        place = _find(self.model, self.revision, _WEIGHTS)
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
    place = Path(files) if files else _find(model, revision, [_CONFIG, _FRONT_END])
    if not files and (converted := _converted(place)):
        return Source(model, None, WhisperConfig(**read_whisper(converted)[0]), {})
    if not (place / _CONFIG).is_file():
        raise WeightsError(f"{model}: expected a folder with a {_CONFIG}, as save_pretrained writes it")
    try:
        with quiet():
            config = AutoConfig.from_pretrained(place)
        front_end = json.loads((place / _FRONT_END).read_bytes()) if (place / _FRONT_END).is_file() else {}
    except (OSError, ValueError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise RecipeError(f"{model} cannot be opened by transformers: {told[:300]}") from error
    commit = place.name if place.parent.name == "snapshots" else None  # where the hub's client keeps its copies
    return Source(model, commit or revision, config, front_end)


def absolute(address: str) -> str:
    """Return an address; of a folder or file that is here, which may be relative, the absolute path."""
    path = Path(address).expanduser()
    return str(path.resolve()) if address not in ("", "pretrained", "none") and path.exists() else address


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


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers and the hub's client: what matters, inarch says itself."""
    verbosity, bars, hub = logging.get_verbosity(), logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if hub:
            enable_progress_bars()


def _find(model: str, revision: str | None, wanted: list[str]) -> Path:
    """Return the folder or file of a model; of one on the hub, a copy with the `wanted` files."""
    if Path(model).exists() or _LOCAL.match(model):
        return locate(model, WeightsError)
    try:
        with quiet():
            return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except Exception as error:  # the hub's client raises anything
        told = str(error).strip().split("\n")[0]
        raise WeightsError(
            f"{model} is no folder here, and could not be fetched from the hub ({type(error).__name__}: {told}). "
            "Without a network, let model be the path of a folder, ./NAME for example, or package:DISTRIBUTION/FOLDER "
            "of an installed package."
        ) from error


def _converted(place: Path) -> Path | None:
    """Return the file of CTranslate2 that a place is or holds, if it is Whisper's."""
    path = place / "model.bin" if place.is_dir() else place
    return path if path.is_file() and (not place.is_dir() or is_whisper(path)) else None
