"""How what a component answers is compared: tensors, and plain data that holds numbers."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Of numbers above 1 a share, of others the difference itself: fp32 adds up in another order."""


def difference(one: Any, other: Any, exact: bool = False, place: str = "") -> str | None:
    """Say where two answers differ first, and how; None: they are alike. exact: to the last bit."""
    if isinstance(one, Tensor | np.ndarray) or isinstance(other, Tensor | np.ndarray):
        return _of_tensors(one, other, exact, place)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return f"{place or 'the answer'} has {sorted(map(str, one))}, and then {sorted(map(str, other))}"
        return next((d for key in one if (d := difference(one[key], other[key], exact, f"{place}[{key!r}]"))), None)
    if _is_list(one) and _is_list(other):
        if len(one) != len(other):
            return f"{place or 'the answer'} has a length of {len(one)}, and then {len(other)}"
        pairs = enumerate(zip(one, other, strict=True))
        return next((d for i, (a, b) in pairs if (d := difference(a, b, exact, f"{place}[{i}]"))), None)
    if isinstance(one, float) and isinstance(other, int | float):
        allowed = 0.0 if exact else TOLERANCE * max(1.0, abs(one))
        alike = one == other or abs(one - other) <= allowed or (one != one and other != other)
    else:
        alike = type(one) is type(other) and bool(one == other)
    return None if alike else f"{place or 'it'} is {_short(one)}, and then {_short(other)}"


def copied(answer: Any) -> Any:
    """Return an answer whose tensors are copies."""
    if isinstance(answer, Tensor):
        return answer.detach().clone()
    if isinstance(answer, Mapping):
        return {key: copied(value) for key, value in answer.items()}
    return [copied(value) for value in answer] if _is_list(answer) else answer


@contextmanager
def drawing_is_seen() -> Iterator[list[str]]:
    """Note, in the list, whose global generators a block of code has drawn from, or has seeded."""
    drawn: list[str] = []
    python, numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield drawn
    if random.getstate() != python:
        drawn.append("python")
    if not all(np.array_equal(one, other) for one, other in zip(numpy, np.random.get_state(), strict=True)):
        drawn.append("numpy")
    if not torch.equal(torch.get_rng_state(), of_torch):
        drawn.append("torch")


def _of_tensors(one: Any, other: Any, exact: bool, place: str) -> str | None:
    if type(one) is not type(other):
        return f"{place or 'it'} is a {type(one).__name__}, and then a {type(other).__name__}"
    first, second = torch.as_tensor(one).detach(), torch.as_tensor(other).detach()
    where = place or "the tensor"
    if first.shape != second.shape:
        return f"{where} has the shape {tuple(first.shape)}, and then {tuple(second.shape)}"
    if exact and first.dtype != second.dtype:
        return f"{where} is {first.dtype}, and then {second.dtype}"
    if torch.equal(first, second) or not first.numel():
        return None
    first, second = first.double(), second.double()
    alike = (first == second) | (first.isnan() & second.isnan())
    apart = torch.where(alike, 0.0, (first - second).abs().nan_to_num(torch.inf))
    allowed = torch.zeros(()) if exact else TOLERANCE * first.abs().nan_to_num(0.0, 0.0, 0.0).clamp_min(1)
    return f"{where} differs by up to {apart.max().item():.3g}" if bool((apart > allowed).any()) else None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
