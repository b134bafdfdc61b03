"""What an optimizer remembers, as tensors and plain data, and put back only where all of it fits."""

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inarch.errors import RunError


def flatten(optimizer: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors by ``PARAMETER.NAME``, and plain data: which tensors there are, other values, and the groups."""
    document = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, values in document["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                numbers[f"{index}.{name}"] = value
    forms = {name: _form(tensor) for name, tensor in tensors.items()}
    return tensors, {"tensors": forms, "numbers": numbers, "groups": document["param_groups"]}


def restore(optimizer: Any, tensors: Mapping[str, Tensor], document: Mapping[str, Any], origin: str) -> None:
    """Put back what `flatten` returned; RunError names a tensor or an option that is missing or does not fit.

    What has the shape of a parameter gets its memory format too: fused kernels walk through both side by side, and
    would pair the moments of one weight with another weight.
    """
    for part in ("tensors", "numbers", "groups"):
        if part not in document:
            raise RunError(f"{origin}: of the optimizer '{part}' is missing")
    _refuse_other_groups(optimizer.state_dict()["param_groups"], document["groups"], origin)
    parameters = [parameter for group in getattr(optimizer, "param_groups", ()) for parameter in group["params"]]
    for name in sorted(document["tensors"].keys() ^ tensors.keys()):
        raise RunError(f"{origin}: the optimizer's tensor '{name}' is {'unknown' if name in tensors else 'missing'}")
    state: dict[int, dict[str, Any]] = {}
    for key, value in [*document["numbers"].items(), *tensors.items()]:
        index, _, name = key.partition(".")
        if not index.isdecimal() or int(index) >= len(parameters):
            raise RunError(f"{origin}: the optimizer's '{key}' is of no parameter; there are {len(parameters)}")
        if isinstance(value, Tensor):
            written = document["tensors"][key]
            state.setdefault(int(index), {})[name] = _like(parameters[int(index)], value, written, f"{origin}: '{key}'")
        else:
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": document["groups"]})


def _like(parameter: Tensor, value: Tensor, written: list[Any], where: str) -> Tensor:
    """Return a tensor in the memory format of its parameter; a number for each parameter stays as it is."""
    if _form(value) != written:
        raise RunError(f"{where} is {_form(value)}, and {written} was written")
    if value.ndim and value.shape != parameter.shape:
        raise RunError(f"{where} is {_form(value)}, and its parameter {_form(parameter)}")
    return torch.empty_like(parameter, dtype=value.dtype, device="cpu").copy_(value) if value.ndim else value


def _form(tensor: Tensor) -> list[Any]:
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]


def _refuse_other_groups(own: list[Any], stored: list[Any], origin: str) -> None:
    """Raise unless groups are what the recipe makes, all but their rates, which every step sets."""
    if len(own) != len(stored):
        raise RunError(f"{origin}: the optimizer has {len(stored)} groups of parameters there, {len(own)} here")
    for number, (mine, theirs) in enumerate(zip(json.loads(json.dumps(own)), stored, strict=True)):
        where = f"{origin}: the optimizer's groups.{number}"
        for name in mine.keys() ^ theirs.keys():
            raise RunError(f"{where}.{name} is {'missing' if name in mine else 'unknown'}")
        for name, value in theirs.items():
            fits = isinstance(value, float) and math.isfinite(value) if name == "lr" else value == mine[name]
            if not fits:
                raise RunError(f"{where}.{name} is {value!r} there, {mine[name]!r} here")
