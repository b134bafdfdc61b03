"""Weights have an address: `pretrained`, `none`, a path, or ``package:DIST/FILE``. No pickle with code is ever run."""

import hashlib
import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import ZipFile

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from inarch.addresses import kind, locate
from inarch.description import WEIGHTS
from inarch.errors import WeightsError, listing
from inarch.interfaces.backbone import Backbone
from inarch.source import Source, find, spell


def read_state(address: str | Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file, or from a torch file that holds tensors only."""
    path = locate(address, WeightsError)
    if not path.is_file():  # a pipe would be waited for
        raise WeightsError(f"{path}: expected a file of weights, found {kind(path)}")
    _refuse_compressed(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old pickle protocols, which may fail: then it is an error
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds more than tensors, so opening it could run code, and inarch does not. "
            f"Convert it to safetensors where you trust it. ({str(error).splitlines()[0]})"
        ) from None
    except Exception as error:  # what is no such file, or made to deceive, raises anything
        expected = "expected safetensors, or tensors that torch saved"
        raise WeightsError(f"{path}: not a weights file that can be read: {error}; {expected}") from None
    for key in ("state_dict", "model"):  # the two wrappers that training scripts commonly save
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a mapping from names to tensors")
    return state


def _refuse_compressed(path: Path) -> None:
    """Refuse what grows when it is opened: torch writes archives that are not compressed, and would open any."""
    try:
        with path.open("rb") as file, ZipFile(file) as archive:
            inside = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # no archive; whoever reads it says what is wrong
        return
    if inside > path.stat().st_size:
        told = f"{inside:,} bytes in a file of {path.stat().st_size:,}"
        raise WeightsError(f"{path}: {told}; weights are not compressed, and inarch does not unpack what is")


def load_strictly(
    module: nn.Module, state: Mapping[str, Tensor], origin: str, missing_is_fine: Iterable[str] = ()
) -> None:
    """Load `state` into `module`; a missing, unexpected or misshapen key is an error that lists it."""
    own = module.state_dict()
    problems = [
        ("missing", sorted(own.keys() - state.keys() - set(missing_is_fine))),
        ("unexpected", sorted(state.keys() - own.keys())),
        ("of another shape", sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape)),
    ]
    told = [f"{len(keys)} {what}: {listing(keys, limit=5)}" for what, keys in problems if keys]
    if told:
        raise WeightsError(f"{origin}: the weights do not fit the model; " + "; ".join(told))
    module.load_state_dict(dict(state), strict=False)


def load_weights(backbone: Backbone, name: str) -> Source | None:
    """Load the weights that a backbone's options name; of a source model, which is returned, all that it has.

    name: the builder's.
    """
    source = find(backbone.resolved.get("weights"))
    if source is None:
        backbone.load_weights()
        return None
    source.refuse_other(name, backbone.resolved)
    state = read_state(source.directory / WEIGHTS)
    own = {name.removeprefix("backbone."): state[name] for name in state if name.startswith("backbone.")}
    try:
        load_strictly(backbone, own, f"the source model {source.directory}", missing_is_fine=backbone.fresh)
    except WeightsError as error:
        told = spell(source.differences(backbone.resolved))
        raise WeightsError(f"{error}. Its options differ: {told}" if told else str(error)) from None
    return source


def savable(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state as safetensors wants it: on the CPU, contiguous, each tensor with memory of its own."""
    seen: set[int] = set()
    saved = {}
    for name, tensor in state.items():
        saved[name] = tensor.detach().cpu().contiguous()
        if saved[name].data_ptr() in seen:  # tied to another, as embeddings often are
            saved[name] = saved[name].clone()
        seen.add(saved[name].data_ptr())
    return saved


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
