"""How sure a metric is: 95 % intervals by the bootstrap."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inarch.made import check_value

RESAMPLES = 1_000
FEWEST_RESAMPLES = 200
BUDGET = 10_000_000  # examples drawn in all; beyond it fewer resamples are taken


@dataclass(frozen=True)
class Estimate:
    """A metric's value, and the ends of its 95 % interval (None where it could not be had)."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Write the value with its interval."""
        return f"{self.value:.4f}" if self.low is None else f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def estimate(
    metrics: Mapping[str, Any], compared: Any, targets: Any, groups: Sequence[Any] | None, seed: int = 0
) -> dict[str, Estimate]:
    """Return every metric with its percentile interval (Efron and Tibshirani 1993, chapter 13).

    compared: what metrics compare with `targets`: tensors, or lists of predictions and of raw targets.
    Examples are resampled with replacement; with `groups` (one per example) whole groups are, for examples of one
    speaker or patient are not independent.
    """
    drawn = draws(len(compared), groups, np.random.default_rng(seed))
    result = {}
    for name, metric in metrics.items():
        value = compute(metric, compared, targets)
        finite = [number for number in resampled(metric, compared, targets, drawn) if np.isfinite(number)]
        if len(finite) < max(2, len(drawn) // 2):
            result[name] = Estimate(value)
        else:
            low, high = np.percentile(finite, [2.5, 97.5])
            result[name] = Estimate(value, float(low), float(high))
    return result


def resampled(metric: Any, compared: Any, targets: Any, drawn: Sequence[Any]) -> list[float]:
    """Return the metric of each draw; on predictions, whose comparison is slow, added up from a state per example.

    A metric that compares examples with each other does it itself: copies of one example would be compared as well.
    """
    if hasattr(metric, "resampled"):
        found: list[float] = metric.resampled(compared, targets, drawn)
        return found
    if not isinstance(compared, list):
        return [compute(metric, compared[draw], targets[draw]) for draw in drawn]
    each = states(metric, compared, targets)
    return [from_state(metric, each[draw].sum(0)) for draw in drawn]


def states(metric: Any, predictions: Sequence[Any], targets: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return the metric's sums after each example alone (N, S): those of several examples are theirs, added up."""
    return np.array([_state(metric, one, target) for one, target in zip(predictions, targets, strict=True)])


def _state(metric: Any, prediction: Any, target: Any) -> list[float]:
    metric.reset()
    metric.update([prediction], [target])
    return [float(getattr(metric, name)) for name in metric.metric_state]


def from_state(metric: Any, sums: Sequence[float]) -> float:
    """Return the metric's value from its sums."""
    for name, value in zip(metric.metric_state, sums, strict=True):
        setattr(metric, name, getattr(metric, name).new_tensor(value))
    metric._computed = None  # what it remembers of the draw before
    metric._update_count = max(1, metric._update_count)  # or it would warn that it has seen nothing
    return check_value(metric, metric.compute())


def compute(metric: Any, compared: Any, targets: Any) -> float:
    """Return a metric's value on all examples at once.

    torchmetrics warns where a class has no example, or where all values are alike, as in small splits and resamples.
    """
    with warnings.catch_warnings():
        rare = "No (positive|negative) samples|The variance of predictions or target is|Average precision score for one"
        warnings.filterwarnings("ignore", category=UserWarning, message=rare)
        metric.reset()
        metric.update(compared, targets)
        try:
            value = check_value(metric, metric.compute())
        except ValueError:  # not defined on so few examples, as R2 on one
            value = float("nan")
        metric.reset()
    return value


def draws(
    length: int, groups: Sequence[Any] | None, random: np.random.Generator, most: int = RESAMPLES
) -> list[np.ndarray[Any, Any]]:
    """Return up to `most` draws of examples, each an array of their numbers; of whole groups, if there are groups."""
    count = int(np.clip(BUDGET // max(1, length), min(most, FEWEST_RESAMPLES), most))
    if groups is None:
        return [random.integers(0, length, length) for _ in range(count)]
    members: dict[Any, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    parts = [np.array(indices) for indices in members.values()]
    return [np.concatenate([parts[i] for i in random.integers(0, len(parts), len(parts))]) for _ in range(count)]
