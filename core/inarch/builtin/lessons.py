"""What a student learns from a teacher's answers.

Shapes: B batch, C classes, D features of the student, E features of the teacher, M examples of train.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from inarch.builtin.head_modules import Classifier, Multilabel, Regressor
from inarch.errors import RecipeError, listing
from inarch.interfaces.backbone import Backbone, Features
from inarch.interfaces.head import Head
from inarch.interfaces.strategy import Answers, Lesson

Parts = tuple[Backbone, Head]
NAMES = {Classifier: "classifier", Multilabel: "multilabel", Regressor: "regressor"}
PENALTIES = torch.logspace(-6, 3, 19, dtype=torch.float64)  # of ridge, times the features' mean variance


def prepare(
    student: Parts,
    teacher: Parts,
    ask: Callable[[Backbone, Head], Answers],
    temperature: float,
    logits: float,
    features: float,
) -> Lesson:
    """Return the lesson, once teacher and student are found to answer the same question."""
    _refuse_others(student, teacher)
    backbone, head = student
    answers = ask(*teacher)
    wanted = teacher[1].scores(answers.outputs.to(_device(teacher[0]))) if isinstance(head, Regressor) else None
    taught = _Answered(head, answers.outputs if wanted is None else wanted.cpu(), temperature)
    hint = None
    if features:
        _refuse_no_features(student, teacher)
        before = ask(*student)
        own, theirs = _in_common(before, answers)
        hint = _Hint(backbone, fit_map(own, theirs), answers.features)
    return _Lesson(_places(answers.rows), taught, hint, logits, features)


class _Lesson:
    """The loss of a step: the head's, and what the teacher answered to the same rows."""

    def __init__(
        self, places: Mapping[int, int], taught: "_Answered", hint: "_Hint | None", logits: float, features: float
    ) -> None:
        self.places, self.taught, self.hint, self.logits, self.features = places, taught, hint, logits, features

    def __call__(self, rows: Sequence[int], outputs: Tensor, targets: Tensor, loss: Tensor) -> Tensor:
        """Return the sum over a batch; an input that the teacher could not read teaches by its target alone."""
        places = torch.tensor([self.places.get(row, -1) for row in rows])
        known = (places >= 0).to(outputs)
        weights = known * _weights(self.taught.head, targets, outputs)
        total = (1 - self.logits) * loss
        if self.logits:
            total = total + self.logits * (weights * self.taught(outputs, places)).sum()
        if self.hint is not None:
            total = total + self.features * (weights * self.hint(places)).sum()
        return total


class _Answered:
    """How far outputs are from the teacher's, for each example (B,)."""

    def __init__(self, head: Head, answers: Tensor, temperature: float) -> None:
        self.head, self.answers, self.temperature = head, answers, temperature

    def __call__(self, outputs: Tensor, places: Tensor) -> Tensor:
        theirs = self.answers[places].to(outputs)
        if isinstance(self.head, Regressor):
            wanted = (theirs - self.head.mean) / self.head.deviation
            penalty: Tensor = self.head.penalty(outputs[:, 0], wanted, reduction="none")
            return penalty
        cooled, soft = outputs / self.temperature, theirs / self.temperature
        if isinstance(self.head, Classifier):
            own, wanted = cooled.log_softmax(-1), soft.log_softmax(-1)
            return self.temperature**2 * F.kl_div(own, wanted, reduction="none", log_target=True).sum(-1)
        wanted = soft.sigmoid()
        most = F.binary_cross_entropy_with_logits(soft, wanted, reduction="none")  # the teacher's own entropy
        divergence = F.binary_cross_entropy_with_logits(cooled, wanted, reduction="none") - most
        return self.temperature**2 * divergence.mean(-1)


class Map(NamedTuple):
    """A linear map of centred features to standardised ones."""

    mean: Tensor
    """(D,)"""
    weight: Tensor
    """(D, E)"""
    their_mean: Tensor
    """(E,)"""
    their_deviation: Tensor
    """(E,); 1 where a feature does not vary."""


class _Hint:
    """How far the student's features, mapped, point from the teacher's, for each example (B,), 0 to 2.

    Squared differences would explode where features in training are far from those the map was fitted to, as with batch
    norms of random weights; the angle is bounded.
    """

    def __init__(self, backbone: Backbone, found: Map, answers: Tensor) -> None:
        self.mean, self.weight = found.mean, found.weight
        self.answers = (answers - found.their_mean) / found.their_deviation
        self.seen: Tensor | None = None
        backbone.register_forward_hook(self._see)

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Hint":
        return self  # the hook goes along when weights are averaged in a copy of the model; what it reads need not

    def _see(self, module: Any, given: Any, features: Features) -> None:
        if torch.is_grad_enabled():
            self.seen = features.pooled

    def __call__(self, places: Tensor) -> Tensor:
        assert self.seen is not None
        own = self.seen.float()
        mapped = (own - self.mean.to(own)) @ self.weight.to(own)
        return 1 - F.cosine_similarity(mapped, self.answers[places].to(own), dim=-1)


def fit_map(own: Tensor, theirs: Tensor) -> Map:
    """Fit the map from features (M, D) to features (M, E) by ridge, its penalty by generalised cross-validation.

    Golub, Heath and Wahba, Technometrics 21 (1979). In float64.
    """
    own, theirs = own.double(), theirs.double()
    mean, their_mean, deviation = own.mean(0), theirs.mean(0), theirs.std(0, correction=0)
    deviation = deviation.where(deviation > 1e-6 * (1 + their_mean.abs()), 1.0)
    centred, wanted = own - mean, (theirs - their_mean) / deviation
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    values = values.clamp_min(0)
    projected = vectors.T @ (centred.T @ wanted)  # (D, E)
    strength = projected.square().sum(1)

    def error(penalty: Tensor) -> Tensor:
        inverse = 1 / (values + penalty)
        residual = wanted.square().sum() - (strength * (2 * inverse - values * inverse**2)).sum()
        free = len(own) - 1 - (values * inverse).sum()
        found: Tensor = residual / free.clamp_min(1e-6) ** 2
        return found

    candidates = PENALTIES * values.mean().clamp_min(1e-12)
    penalty = candidates[torch.stack([error(candidate) for candidate in candidates]).argmin()]
    weight = vectors @ (projected / (values + penalty)[:, None])
    return Map(mean.float(), weight.float(), their_mean.float(), deviation.float())


def _weights(head: Head, targets: Tensor, outputs: Tensor) -> Tensor:
    """Return what each example weighs in the head's own count (B,): its class's weight, else one."""
    weights = head.weights[targets] if isinstance(head, Classifier) else torch.ones(len(outputs))
    return weights.to(outputs)


def _places(rows: Sequence[int]) -> dict[int, int]:
    """Return where a row's answer is, by its number."""
    return {row: place for place, row in enumerate(rows)}


def _in_common(one: Answers, other: Answers) -> tuple[Tensor, Tensor]:
    """Return the features of both for the rows that both could read."""
    shared = sorted(set(one.rows) & set(other.rows))
    places = [_places(answers.rows) for answers in (one, other)]
    own, theirs = (a.features[[at[row] for row in shared]] for a, at in zip((one, other), places, strict=True))
    return own, theirs


def _device(backbone: Backbone) -> torch.device:
    return next(backbone.parameters()).device


def _refuse_others(student: Parts, teacher: Parts) -> None:
    (backbone, head), (other, taught) = student, teacher
    own, theirs = (NAMES.get(type(one), type(one).__name__) for one in (head, taught))
    if type(head) not in NAMES:
        raise RecipeError(f"strategy: distill teaches {listing(NAMES.values())}; the recipe's head is '{own}'")
    if type(head) is not type(taught):
        raise RecipeError(f"strategy.teacher: its head is '{theirs}', the recipe's is '{own}'; they must be the same")
    if other.domain != backbone.domain:
        raise RecipeError(f"strategy.teacher: it is a model for {other.domain}, the recipe's for {backbone.domain}")
    if not isinstance(head, Regressor) and tuple(head.classes) != tuple(taught.classes):  # type: ignore[arg-type]
        found, wanted = listing(taught.classes), listing(head.classes)  # type: ignore[arg-type]
        raise RecipeError(
            f"strategy.teacher: it knows {found}; the data have {wanted}. Both must have the same classes in the same "
            "order: dataset.classes names them"
        )
    if hasattr(backbone.transform(True), "mix"):
        raise RecipeError(
            "strategy: distill cannot be used with mixup or cutmix, for the teacher answers to inputs as they are; "
            "leave them out of backbone.augment"
        )


def _refuse_no_features(student: Parts, teacher: Parts) -> None:
    for whose, (backbone, _) in (("student", student), ("teacher", teacher)):
        if "pooled" not in backbone.provides:
            raise RecipeError(f"strategy.features: the {whose}'s backbone provides no pooled features; leave it out")
