"""A backbone with one of its trials, and how its features are compared.

Shapes: B batch, D features, T tokens, U units.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from inarch.data.inputs import Inputs
from inarch.interfaces.backbone import Backbone, Example, Features
from inarch.plugins import build
from inarch.testing.cases import ComponentCase
from inarch.testing.check import Seen, expect

GIVEN = "files"
"""The option that the core gives to a backbone with files; `resolved` leaves it out."""
ODD: tuple[Any, ...] = (None, 3.5, "", b"", {}, [])
"""What a column of a table may hold where an input should be."""
LEAST = 3
"""Inputs that a trial must have: a batch needs neighbours."""
TOLERANCE = 1e-4
"""Of features computed in another order, relative to the largest one: rounding of fp32 makes about 1e-6."""


@dataclass(frozen=True, eq=False)
class BackboneCase(ComponentCase):
    """A backbone with one of its trials."""

    @cached_property
    def problem(self) -> str | None:
        """Why it cannot be tried, and what to write; None: it can."""
        reason = super().problem
        if reason is None and len(self.trial.inputs) < LEAST:
            found = f"a backbone is tried on {LEAST} raw inputs or more, and its trial has {len(self.trial.inputs)}"
            return self.asks("options={...}, inputs=[...]", found)
        return reason

    def build(self, seed: int = 0, options: Mapping[str, Any] | None = None) -> Backbone:
        """Build it anew from the trial's options, or others, with the random weights of a seed."""
        torch.manual_seed(seed)
        backbone: Backbone = build(self.entry, self.options if options is None else options)
        expect(isinstance(backbone, Backbone), f"{self.entry.build.__name__} returned {type(backbone).__name__}")
        return backbone

    def ready(self, seed: int = 0) -> tuple[Backbone, list[Example]]:
        """Return it in evaluation mode, and the trial's inputs as evaluation sees them."""
        backbone = self.build(seed).eval()
        return backbone, self.examples(backbone)

    def seen(self, backbone: Backbone, training: bool) -> list[Any]:
        """Return what a transform is given: the trial's inputs, in evaluation the windows of those that have some."""
        parts = [[] if training else backbone.windows(raw) for raw in self.trial.inputs]
        return [one for raw, windows in zip(self.trial.inputs, parts, strict=True) for one in (windows or [raw])]

    def examples(self, backbone: Backbone) -> list[Example]:
        """Return the trial's inputs as evaluation sees them, each of its windows one example."""
        inputs = Inputs(self.trial.inputs, backbone, separate=False)
        return [example for index in range(len(inputs)) for example in inputs[index].members]


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Say of an exception what was tried when it was raised."""
    try:
        yield
    except Seen:
        raise
    except Exception as error:
        raise Seen(f"{what} raised {type(error).__name__}: {error}") from error


@torch.no_grad()
def features_of(backbone: Backbone, examples: Sequence[Example]) -> Features:
    """Return the features of examples in one batch."""
    features: Features = backbone(**backbone.collate(examples))
    return features


def filled(features: Features) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in features._asdict().items() if value is not None}


def of_example(features: Features, index: int) -> dict[str, Tensor]:
    """Return what one example of a batch was answered, without its padding."""
    answer: dict[str, Tensor] = {}
    if features.pooled is not None:
        answer["pooled"] = features.pooled[index]
    if features.tokens is not None:
        mask = slice(None) if features.mask is None else features.mask[index]
        answer["tokens"] = features.tokens[index][mask]
    if features.scale is not None:
        answer["scale"] = features.scale[index]
    for number, one in enumerate(features.maps or ()):
        answer[f"maps[{number}]"] = one[index]
    if features.units is not None:
        real = features.units[index] >= 0
        answer["units"] = features.units[index][real]
        if features.tokens is not None:
            answer["tokens of units"] = features.tokens[index][answer["units"]]
        if features.places is not None:
            answer["places"] = features.places[index][real]
    return answer


def difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor], tolerance: float = TOLERANCE) -> str | None:
    """Say in what two answers differ by more than a tolerance, relative to the largest value; None: in nothing."""
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            return f"{name} is there once and once not"
        if one[name].shape != other[name].shape:
            return f"{name} is {shape(one[name])} and {shape(other[name])}"
        if not one[name].numel():
            continue
        apart = (one[name].double() - other[name].double()).abs().max().item()
        largest = max(1e-6, one[name].double().abs().max().item())
        if not apart <= tolerance * largest:  # not a number is no agreement
            return f"{name} differs by {apart:.3g} where the largest value is {largest:.3g}"
    return None


def shape(tensor: Tensor) -> str:
    """Return a shape as people write it: (2, 3)."""
    return str(tuple(tensor.shape))
