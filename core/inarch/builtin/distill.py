"""Distillation: a model that learns from another one's answers as well as from targets. Imports no torch."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from inarch.builtin.strategies import Decay, Full, Multiplier
from inarch.interfaces.strategy import Answers, Lesson, Strategy
from inarch.schema import Address, Range

if TYPE_CHECKING:
    from inarch.interfaces.backbone import Backbone
    from inarch.interfaces.head import Head

    Parts = tuple[Backbone, Head]

Share = Annotated[float, Range(least=0, most=1)]
Weight = Annotated[float, Range(least=0)]


class Distill(Full):
    """Train all layers on targets and on a teacher's answers."""

    def __init__(
        self, teacher: str, temperature: float, logits: float, features: float, layer_decay: float, head: float
    ) -> None:
        super().__init__(layer_decay, head)
        self.teacher, self.temperature, self.logits, self.features = teacher, temperature, logits, features

    def lesson(self, student: "Parts", teacher: "Parts", ask: Callable[["Backbone", "Head"], Answers]) -> Lesson | None:
        """Compare teacher and student, and have the teacher answer to all of train, once."""
        from inarch.builtin import lessons  # brings torch

        return lessons.prepare(student, teacher, ask, self.temperature, self.logits, self.features)


def distill(
    *,
    teacher: Annotated[str, Address()],
    temperature: Annotated[float, Range(above=0)] = 2.0,
    logits: Share = 0.9,
    features: Weight = 0.0,
    layer_decay: Decay = 1.0,
    head_multiplier: Multiplier = 1.0,
) -> Strategy:
    """Fine-tune all layers on the answers of a trained model, which may be a larger one, beside the targets.

    The teacher answers once to each training input, as evaluation shows it; the student, which sees it varied, is to
    answer alike. Both have a classifier with the same classes in the same order, a multilabel head, or a regressor.
    teacher: a bundle, or a run with one: runs/NAME.
    temperature: T; what the softmax of both is divided by (Hinton et al., arXiv 1503.02531). Numbers have none.
    logits: w in the loss (1 - w) hard + w T^2 KL(teacher, student); for numbers the head's own penalty is in its place.
    features: weight of what is added to it: 1 less the cosine (as in DistilBERT, arXiv 1910.01108) of the teacher's
    pooled features, standardised, and a linear map of the student's, after FitNets (arXiv 1412.6550); this map is not
    trained, but fitted by ridge to what the student's features are at the start.
    layer_decay, head_multiplier: as for `full`.
    """
    return Distill(teacher, temperature, logits, features, layer_decay, head_multiplier)
