"""Metrics of sound events. Every state is a sum over recordings, so that the core can resample recordings.

Predictions are what the head `tagger` predicts, targets are raw: lists of {start, end, label}, in seconds.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

ROUNDING = 1e-6  # seconds: 0.9 - 0.7 is not more than 0.2


class EventF1(Metric):
    """2 x right / (predicted + true) over all events, 0 where there are none.

    values: raw labels with other names; onset: seconds; offset: share of the true event's length.
    """

    higher_is_better = True
    right: Tensor
    predicted: Tensor
    true: Tensor

    def __init__(self, values: Mapping[str, str], onset: float, offset: float, label: str | None) -> None:
        super().__init__()
        self.values, self.onset, self.offset, self.label = values, onset, offset, label
        for name in ("right", "predicted", "true"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[Mapping[str, Any]], targets: Sequence[Any]) -> None:
        """Count the events of recordings."""
        for prediction, target in zip(predictions, targets, strict=True):
            found, true = _by_label(prediction["segments"], {}), _by_label(target, self.values)
            for label in (found.keys() | true.keys()) if self.label is None else [self.label]:
                mine, its = found.get(label, []), true.get(label, [])
                self.right += count_pairs([self._near(event, its) for event in mine])
                self.predicted += len(mine)
                self.true += len(its)

    def compute(self) -> Tensor:
        """Return a scalar, 0 to 1."""
        return 2 * self.right / (self.predicted + self.true).clamp_min(1)

    def _near(self, event: tuple[float, float], true: Sequence[tuple[float, float]]) -> list[int]:
        """Return the numbers of the true events, which are sorted, that an event may be."""
        collar = self.onset + ROUNDING
        first = bisect_left(true, event[0] - collar, key=_start)
        last = bisect_right(true, event[0] + collar, key=_start)
        return [index for index in range(first, last) if self._ends(event[1], *true[index])]

    def _ends(self, end: float, true_start: float, true_end: float) -> bool:
        return abs(end - true_end) <= max(self.onset, self.offset * (true_end - true_start)) + ROUNDING


def count_pairs(near: Sequence[Sequence[int]]) -> int:
    """Return how many events can be paired with true ones, each with one; near: the true ones that each may be.

    A matching grows along augmenting paths (Berge 1957) until there is none.
    """
    pairs: dict[int, int] = {}  # true event to event
    taken: dict[int, int] = {}  # event to true event
    for event in range(len(near)):
        came, free = _search(event, near, pairs)
        while free is not None:
            event = came[free]
            pairs[free] = event
            before = taken.get(event)
            taken[event], free = free, before
    return len(pairs)


def _search(event: int, near: Sequence[Sequence[int]], pairs: Mapping[int, int]) -> tuple[dict[int, int], int | None]:
    """Return a free true event that can be reached if others are paired anew (None: none can), and the way to it."""
    came: dict[int, int] = {}  # true event to the event that it was reached from
    queue = [event]
    for reached in queue:
        for true in near[reached]:
            if true in came:
                continue
            came[true] = reached
            if true not in pairs:
                return came, true
            queue.append(pairs[true])
    return came, None


def _by_label(events: Sequence[Mapping[str, Any]], values: Mapping[str, str]) -> dict[str, list[tuple[float, float]]]:
    """Return start and end of events by their label, as the recipe names it, in order."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        label = str(event["label"])
        found.setdefault(values.get(label, label), []).append((event["start"], event["end"]))
    return {label: sorted(places) for label, places in found.items()}


def _start(event: tuple[float, float]) -> float:
    return event[0]
