"""What a plugin knows of a backbone before it is tried: how it did elsewhere. Light: imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Candidate:
    """A backbone that `inarch rank` knows by name."""

    name: str
    """What a person types."""
    options: Mapping[str, Any]
    """The options of the builder that make it; those of `keeps` come from the recipe where it says them."""
    sets: tuple[str, ...] = ("small",)
    """The sets that it is in; `--backbones @small` are all of one."""
    standing: float | None = None
    """How its fine-tuned accuracy stood among the backbones of its domain on other data: the mean over data sets of
    (accuracy - mean of the backbones) / their standard deviation; None: nobody measured it."""
    measured: str = ""
    """Where and on what `standing` was measured."""
