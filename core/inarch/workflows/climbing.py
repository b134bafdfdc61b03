"""The rule by which a ladder is climbed: a function of what rungs reached on valid, and of what they cost.

Shapes: B draws of the examples of valid; the same draws for every rung, so that differences are paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SURE = 0.95
"""One-sided: in this share of the draws a rung must be better to count as better."""


@dataclass(frozen=True)
class Tried:
    """What a rung reached, larger being better, and what it cost."""

    name: str
    value: float
    """On all of valid."""
    drawn: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    """On each draw (B,)."""
    trains: bool
    """Whether the backbone was trained; else it was passed over the data once."""
    sign: int = 1
    """-1: what is measured is an error, and `value` its negative."""

    def __str__(self) -> str:
        """Name the rung with what it reached, as people know it."""
        return f"{self.name} ({self.sign * self.value:.4f})"


@dataclass(frozen=True)
class Step:
    """Whether to go on to the next rung, and why, in words."""

    go: bool
    why: str


def decide(tried: Sequence[Tried], following: str, trains: bool, ideal: Tried | None, look_further: bool) -> Step:
    """Say whether to try the rung `following` after those that were `tried`, in the order in which they were.

    trains: whether the rung trains the backbone; one that does not is nearly free, and always tried.
    ideal: what a model without errors would reach, where that is known.
    look_further: one rung that is not surely better, nor surely worse, does not end the climb.
    """
    if not trains:
        return Step(True, f"{following}: needs one pass over the data")
    if not tried:
        return Step(True, f"{following}: the first rung")
    leader = best(tried)
    if ideal is not None and probability(ideal, leader) < SURE:
        told = f"{leader} leaves so few errors on valid that even a model without any"
        return Step(False, f"{following} is not tried: {told} could not be told from it")
    if not tried[-1].trains:
        return Step(True, f"{following}: the first rung that trains the backbone")
    last, earlier = tried[-1], best(tried[:-1])
    sure = probability(last, earlier)
    told = f"{last} is better than {earlier} in {sure:.0%} of draws"
    if sure >= SURE:
        return Step(True, f"{following}: {told}")
    if look_further and sure > 1 - SURE and _was_sure(tried[:-1]):
        return Step(True, f"{following}: {told}, which is undecided; one look further")
    return Step(False, f"{following} is not tried: {told}, less than {SURE:.0%}")


def best(tried: Sequence[Tried]) -> Tried:
    """Return the rung with the largest value; of equal ones the first, which is the cheapest."""
    return max(tried, key=lambda rung: -np.inf if np.isnan(rung.value) else rung.value)


def probability(one: Tried, other: Tried) -> float:
    """Return the share of draws on which one rung is better than another; equal ones count half."""
    known = np.isfinite(one.drawn) & np.isfinite(other.drawn)
    if not known.any():
        return 0.5
    differences = one.drawn[known] - other.drawn[known]
    return float((differences > 0).mean() + 0.5 * (differences == 0).mean())


def _was_sure(tried: Sequence[Tried]) -> bool:
    """Say whether the last of these rungs had not been a look further itself."""
    if len(tried) < 2 or not tried[-1].trains:
        return True
    return probability(tried[-1], best(tried[:-1])) >= SURE
