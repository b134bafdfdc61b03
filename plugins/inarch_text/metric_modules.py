"""Metrics of predictions. Every state is a sum over examples, so that the core can resample examples.

Predictions are what heads predict (see `Head.predict`), targets are raw, as the data set has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from nervaluate.entities import Entity
from nervaluate.strategies import StrictEvaluation
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.text import SQuAD

from inarch import find_segments, write_tags

Predictions = Sequence[Mapping[str, Any]]


class EntityF1(Metric):
    """2 x right / (predicted + true) over all segments, 0 where there are none. nervaluate counts, strictly.

    form: whether a target is `tags`, or `segments` of characters; values: raw tags and labels with other names.
    """

    higher_is_better = True
    right: Tensor
    predicted: Tensor
    true: Tensor

    def __init__(self, form: str, values: Mapping[str, str], label: str | None) -> None:
        super().__init__()
        self.form, self.values, self.label = form, values, label
        self.count = StrictEvaluation()
        for name in ("right", "predicted", "true"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Predictions, targets: Sequence[Any]) -> None:
        """Count the segments of examples."""
        for prediction, target in zip(predictions, targets, strict=True):
            found, true = self._entities(prediction[self.form]), self._entities(target, self.values)
            counted, _ = self.count.evaluate(true, found, [])
            self.right += counted.correct
            self.predicted += counted.actual
            self.true += counted.possible

    def compute(self) -> Tensor:
        """Return a scalar, 0 to 1."""
        return 2 * self.right / (self.predicted + self.true).clamp_min(1)

    def _entities(self, items: Sequence[Any], values: Mapping[str, str] | None = None) -> list[Entity]:
        """Return tags or segments as nervaluate wants them: in order, the end belonging to the segment."""
        if self.form == "tags":
            found = [Entity(label, first, last) for first, last, label in find_segments(_named(items, values or {}))]
        else:
            named = _named([item["label"] for item in items], values or {})
            places = zip(named, items, strict=True)
            found = sorted((Entity(name, s["start"], s["end"] - 1) for name, s in places), key=lambda e: e.start)
        return [entity for entity in found if self.label in (None, entity.label)]


class TokenAccuracy(Metric):
    """Right tags / all units of the truth; a unit that was cut off counts as predicted `O`.

    plain: whether tags label each unit by itself, so that they are compared as they are.
    """

    higher_is_better = True
    right: Tensor
    units: Tensor

    def __init__(self, plain: bool, values: Mapping[str, str]) -> None:
        super().__init__()
        self.plain, self.values = plain, values
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("units", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Predictions, targets: Sequence[Any]) -> None:
        """Count the units of examples."""
        for prediction, target in zip(predictions, targets, strict=True):
            found, true = prediction["tags"], _named(target, self.values)
            if not self.plain:
                found, true = (write_tags(find_segments(tags), len(tags), "bio") for tags in (found, true))
            self.right += sum(map(str.__eq__, found, true))
            self.units += len(true)

    def compute(self) -> Tensor:
        """Return a scalar, 0 to 1."""
        return self.right / self.units


class ExactMatch(SQuAD):
    """torchmetrics' SQuAD on answers as the core hands them over."""

    higher_is_better = True
    wanted = "exact_match"

    def update(self, predictions: Predictions, targets: Sequence[Any]) -> None:
        """Compare answers by their text."""
        answers = [{"prediction_text": found["text"], "id": str(row)} for row, found in enumerate(predictions)]
        super().update(answers, [{"answers": target, "id": str(row)} for row, target in enumerate(targets)])

    def compute(self) -> Tensor:
        """Return a scalar, 0 to 1."""
        return super().compute()[self.wanted] / 100


class AnswerF1(ExactMatch):
    """The same, of the words that are shared."""

    wanted = "f1"


class ExactPlace(Metric):
    """Mean over answers of how well their place fits the best of the true ones: 1 if it is the same, else 0."""

    higher_is_better = True
    total: Tensor
    answers: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("answers", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Predictions, targets: Sequence[Any]) -> None:
        """Compare answers by their place; a target is {start, end} or a list of these."""
        for found, target in zip(predictions, targets, strict=True):
            true = [target] if isinstance(target, Mapping) else target
            self.total += max(self.fit(found, place) for place in true)
            self.answers += 1

    def compute(self) -> Tensor:
        """Return a scalar, 0 to 1."""
        return self.total / self.answers

    @staticmethod
    def fit(found: Mapping[str, Any], true: Mapping[str, Any]) -> float:
        """Return how well two places fit, 0 to 1."""
        return float((found["start"], found["end"]) == (true["start"], true["end"]))


class PlaceF1(ExactPlace):
    """The same; the fit is the harmonic mean of the shares of characters that both places have in common."""

    @staticmethod
    def fit(found: Mapping[str, Any], true: Mapping[str, Any]) -> float:
        """Return how well two places fit, 0 to 1."""
        shared = min(found["end"], true["end"]) - max(found["start"], true["start"])
        return float(max(0.0, 2 * shared / (found["end"] - found["start"] + true["end"] - true["start"])))


def _named(values: Sequence[Any], names: Mapping[str, str]) -> list[str]:
    """Return raw tags or labels by the names that the recipe gives them."""
    return [names.get(str(value), str(value)) for value in values]
