"""What a strategy is: how transfer is done, as phases. Light: imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from inarch.recipe import Train

if TYPE_CHECKING:
    from torch import Tensor

    from inarch.interfaces.backbone import Backbone  # brings torch
    from inarch.interfaces.head import Head

    State = Mapping[str, Tensor]

Lesson = Callable[[Sequence[int], "Tensor", "Tensor", "Tensor"], "Tensor"]
"""Row numbers, outputs, encoded targets and the head's summed loss to the sum that is trained on."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training with fixed trainable layers."""

    name: str
    epochs: int
    layer_rates: tuple[float | None, ...]
    """The peak learning rate of each backbone layer, from input to output; None: frozen."""
    head_rate: float
    """The peak learning rate of the head."""
    trains: frozenset[str] | None = None
    """Names of the backbone's parameters that are trained where their layer is not frozen; None: all."""
    pull: float = 0.0
    """Strength of the pull to where the run began: pull / 2 times the squared distance of the backbone's trained
    parameters from their first values is added to the mean loss, in place of their weight decay (L2-SP)."""
    still_norms: bool = False
    """Batch norms normalise by the statistics that they have, and keep them, also where their gains are trained."""
    views: int = 0
    """Above 0, with every layer frozen: the head is fitted to stored features until it converges, not by steps. This is
    how many views of each example it sees: that of evaluation, and others as training draws them. Where stored features
    do not hold what the head reads, the phase takes its steps after all."""

    @property
    def frozen(self) -> tuple[int, ...]:
        """Numbers of the frozen layers."""
        return tuple(index for index, rate in enumerate(self.layer_rates) if rate is None)


class Weights(NamedTuple):
    """A state of the whole model that lies on disk."""

    name: str
    """What people know it by: "step 120", a folder."""
    read: Callable[[], "State"]


@dataclass(frozen=True)
class Trained:
    """What a training leaves to choose from."""

    best: Sequence[Weights]
    """The best on valid of the last phase, best first; at least one, at most `Strategy.keeps`."""
    ends: Sequence[Weights]
    """How each phase but the last one ended."""
    runs: Sequence[Weights] = ()
    """The bundles of `Strategy.runs`."""


class Answers(NamedTuple):
    """What a model answers to the examples of train, as evaluation sees them."""

    rows: Sequence[int]
    """Numbers of the rows that could be read, ascending."""
    outputs: "Tensor"
    """The head's (M, ...), in the order of `rows`, fp32, on the CPU."""
    features: "Tensor"
    """The backbone's pooled ones (M, D), likewise."""


@dataclass(frozen=True)
class Rung:
    """One of the ways that a ladder may try, as changes of the recipe."""

    name: str
    changes: Mapping[str, Any]
    """``{"strategy": ..., "train.learning_rate": ...}``"""
    heads: frozenset[str] | None = None
    """Heads of the recipes that it is for; None: all."""


@dataclass(frozen=True)
class Ladder:
    """Ways to choose from, the cheapest first, and what may be spent on them."""

    rungs: Sequence[Rung]
    seconds: float | None = None
    """None: no limit."""
    epochs: float | None = None
    """Epochs in which the backbone is trained, over all rungs; None: no limit."""
    look_further: bool = False
    """Whether to try one rung more after one of which valid cannot say whether it is better."""


class Strategy(ABC):
    """Turns the backbone's layers and the recipe's `train` into phases."""

    random_weights = False
    """True: the backbone keeps its random weights, whatever the recipe's `weights` say."""
    fits_head = False
    """True: every phase fits the head to stored features, so that one with nothing that steps could train will do."""
    keeps = 1
    """How many checkpoints of a phase, the best on valid, are kept for `combine`."""
    runs: Sequence[str] = ()
    """Folders of other runs whose bundles `combine` is given: of the same backbone, head, classes, valid and test."""
    teacher: str | None = None
    """A bundle, or a run with one, from whose answers the model learns as well (`lesson`); None: from targets alone."""

    @abstractmethod
    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return the phases, in order; layers are those of `Backbone.layers()`. All together have `train.epochs`."""

    def adapt(self, backbone: "Backbone") -> None:  # noqa: B027  (most strategies insert nothing)
        """Insert what is trained beside the backbone's own weights (adapters). Default: nothing.

        Called once the weights are loaded, and again when a bundle that keeps adapters is opened. `Backbone.layers()`
        must name the new parameters too.
        """

    def ladder(self, train: Train) -> Ladder | None:
        """Return strategies to choose from by valid, in place of phases; None: this strategy trains by itself."""
        return None

    def lesson(
        self, student: tuple["Backbone", "Head"], teacher: tuple["Backbone", "Head"],
        ask: Callable[["Backbone", "Head"], Answers],
    ) -> Lesson | None:  # fmt: skip
        """Return what changes the loss of a step, given a model whose answers to train may be had by `ask`.

        Called before the first step, on every process alike, where `teacher` names a bundle. The lesson is called with
        row numbers (B), outputs (B, ...), encoded targets and the head's summed loss, and returns a sum in its place:
        the count stays the head's. A sum over examples is the same however a batch is cut.
        """
        return None

    def combine(self, trained: Trained, score: Callable[["State"], float]) -> tuple["State", dict[str, Any]] | None:
        """Return the weights for the bundle made of several, and facts for the results; None: the best ones.

        facts: plain data; `sentence` stands in the report. score: the recipe's `best_metric` of weights on valid, a
        loss or an error negated: larger is better; -inf where it is not defined. Called on every process alike.
        """
        return None

    @property
    def combines(self) -> bool:
        """Whether `combine` may choose other weights than the best: this needs a valid split."""
        return type(self).combine is not Strategy.combine

    def merge(self, backbone: "Backbone") -> bool:
        """Turn what `adapt` inserted into plain weights, when training is over; say whether the backbone is plain now.

        Where it is not, the bundle keeps what differs from the loaded weights, and opens on top of them.
        """
        return True
