"""What metrics are tried with: truths, right answers to them, and wrong ones.

Shapes: N examples, C classes, D features.
"""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from inarch import intervals
from inarch.evaluation import build_metrics
from inarch.interfaces.dataset import Targets
from inarch.testing.cases import ComponentCase
from inarch.testing.check import Seen

SIZE, CLASSES = 40, ("ant", "bee", "cat", "dog")
GUESSED = ("classes", "labels", "numbers", "identities")


@dataclass(frozen=True)
class Answered:
    """Examples of one kind of targets, and answers to them."""

    targets: Targets
    truths: Any
    """What metrics compare with: encoded targets (N, ...), or with predictions N raw ones."""
    right: Any
    """Scores (N, ...), or N predictions: as good as can be."""
    wrong: Sequence[Any]
    """Likewise, but made at random, or the right ones of other examples."""

    @property
    def size(self) -> int:
        """N."""
        return len(self.truths)

    def some(self, answers: Any, rows: Sequence[int]) -> tuple[Any, Any]:
        """Return answers and truths of some examples."""
        return rows_of(answers, rows), rows_of(self.truths, rows)


class MetricCase(ComponentCase):
    """A metric with all that it is tried with."""

    @cached_property
    def problem(self) -> str | None:
        """Why it cannot be tried, and what to write; None: it can."""
        reason = super().problem
        wanted = "targets=inarch.Targets(...), truths=[...], answers=[...]"
        kinds = self.entry.facts["kinds"]
        trial = self.trial
        if reason is None and not kinds:
            return f"it is registered without `kinds`: no recipe can use it; write kinds=('{GUESSED[0]}',), for example"
        if reason is None and trial.answers and (len(trial.answers) != len(trial.truths) or not trial.targets):
            return self.asks(wanted, f"{len(trial.answers)} answers, {len(trial.truths)} truths, of {trial.targets}")
        if reason is None and not trial.answers and not set(kinds) & set(GUESSED):
            return self.asks(wanted, f"it measures {', '.join(kinds)}")
        return reason

    @cached_property
    def answered(self) -> list[Answered]:
        """Examples of each kind that it measures."""
        if self.trial.answers:
            return [_predicted(self.trial.targets, self.trial.truths, self.trial.answers)]
        return [_scored(kind) for kind in GUESSED if kind in self.entry.facts["kinds"]]

    def built(self, answered: Answered) -> Metric:
        """Return the metric as the core builds it."""
        found = next(iter(build_metrics([(self.entry, self.options)], answered.targets).values()))
        if not isinstance(found, Metric):
            raise Seen(f"{self.entry.build.__name__} returned {type(found).__name__}, not a torchmetrics.Metric")
        return found

    def value(self, answered: Answered, answers: Any, rows: Sequence[int] | None = None) -> float:
        """Return the value of all examples, or of some, as the core computes it: at once."""
        rows = range(answered.size) if rows is None else rows
        return intervals.compute(self.built(answered), *answered.some(answers, rows))

    def updated(self, answered: Answered, answers: Any, parts: Sequence[Sequence[int]]) -> Metric:
        """Return the metric after it has seen parts of the examples, one after the other."""
        metric = self.built(answered)
        for rows in parts:
            metric.update(*answered.some(answers, rows))
        return metric


def computed(metric: Metric) -> float:
    """Return a metric's value, without the warnings of torchmetrics about few examples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(metric.compute())


def merged(shards: Sequence[Metric]) -> float:
    """Return the value of several processes' states, put together as torchmetrics does it where they meet."""
    first = deepcopy(shards[0])
    for parts in zip(first.modules(), *(shard.modules() for shard in shards), strict=True):
        own = parts[0]
        if isinstance(own, Metric):
            own.dist_sync_fn = _Gather([_tensors(part) for part in parts[1:]])
            own.distributed_available_fn = _always
    return computed(first)


def rows_of(answers: Any, rows: Sequence[int]) -> Any:
    """Return some rows of a tensor, or items of a list."""
    return answers[list(rows)] if isinstance(answers, Tensor) else [answers[row] for row in rows]


class _Gather:
    """What stands in for the collective: called for one state after the other, it returns those of all shards."""

    def __init__(self, states: Sequence[Sequence[Tensor]]) -> None:
        self.states = [iter(tensors) for tensors in states]

    def __call__(self, tensor: Tensor, group: Any = None) -> list[Tensor]:
        return [next(tensors) for tensors in self.states]


def _tensors(metric: Any) -> list[Tensor]:
    """Return a metric's states one after the other, as torchmetrics gathers them."""
    found: list[Tensor] = []
    for name, reduction in metric._reductions.items():
        state = getattr(metric, name)
        if isinstance(state, list) and reduction is dim_zero_cat:
            state = [dim_zero_cat(state)] if state else [torch.tensor([])]
        found += state if isinstance(state, list) else [state]
    return found


def _always() -> bool:
    return True


def _predicted(targets: Targets | None, truths: Sequence[Any], answers: Sequence[Any]) -> Answered:
    assert targets is not None
    right = list(answers)
    wrong = [right[turn:] + right[:turn] for turn in range(1, len(right))]
    return Answered(targets, list(truths), right, wrong)


def _scored(kind: str) -> Answered:
    """Return examples whose answers are scores: probabilities (N, C), values (N,), or embeddings (N, D)."""
    random = torch.Generator().manual_seed(0)
    numbers = torch.arange(SIZE) % len(CLASSES)
    counts = [SIZE // len(CLASSES)] * len(CLASSES)
    values = {"values": {name: number for number, name in enumerate(CLASSES)}}
    if kind == "numbers":
        truths = torch.randn(SIZE, generator=random) * 3 + 5
        targets = Targets("numbers", (), {"train": [SIZE]}, {"mean": 5.0, "deviation": 3.0})
        wrong = [truths[torch.randperm(SIZE, generator=random)] for _ in range(10)]
        return Answered(targets, truths, truths.clone(), wrong)
    targets = Targets(kind, CLASSES, {"train": counts}, {**values, "examples": SIZE, "mode": "classes"})
    one_hot = torch.eye(len(CLASSES))[numbers]
    if kind == "labels":
        truths = (torch.rand(SIZE, len(CLASSES), generator=random) > 0.5).long()
        wrong = [torch.rand(SIZE, len(CLASSES), generator=random) for _ in range(10)]
        return Answered(targets, truths, truths.float(), wrong)
    if kind == "identities":
        right = one_hot + 0.01 * torch.randn(SIZE, len(CLASSES), generator=random)
        return Answered(targets, numbers, right, [torch.randn(SIZE, 8, generator=random) for _ in range(10)])
    wrong = [(2 * torch.randn(SIZE, len(CLASSES), generator=random)).softmax(-1) for _ in range(10)]
    return Answered(targets, numbers, one_hot, wrong)
