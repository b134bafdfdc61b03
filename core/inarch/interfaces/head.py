"""What a head is: features to outputs, loss and predictions. The head is the task.

Shapes: B batch, C classes, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from inarch.interfaces.backbone import Features

Outputs = Tensor | dict[str, Tensor]


class Head(nn.Module, ABC):
    """Features to outputs, and everything that is particular to a task."""

    needs: frozenset[str]
    """Which fields of Features `forward` reads."""
    separate: bool = False
    """The parts of an input that has several go through the backbone one by one: the features have B x parts rows."""

    whole: bool = False
    """A part of an input has not its target (a transcript): an input that would be cut for training is refused."""

    @abstractmethod
    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return raw targets, one per example, as a tensor whose first dimension is B."""

    @abstractmethod
    def forward(self, features: Features) -> Outputs:
        """Return outputs, first dimension B."""

    @abstractmethod
    def loss(self, outputs: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sum, count), never a mean: the loop divides by the count over all micro-batches and processes."""

    def scores(self, outputs: Any) -> Tensor | None:
        """Return what metrics compare with the encoded targets: probabilities (B, C), or values.

        A head without scores is measured by its predictions: metrics then compare lists of these with the raw targets.
        """
        return None

    @abstractmethod
    def predict(self, outputs: Any) -> list[dict[str, Any]]:
        """Return one plain, readable prediction per example, with its scores.

        Where one says `start` and `end`, or has `segments` that do, the core adds what `Backbone.part` says of it.
        """

    def partners(self, targets: Sequence[Any]) -> Callable[[int], int] | None:
        """Return a picklable function from a row of train to the row of its partner, drawn from the global generators.

        The partner goes through the backbone beside the example: in training the features have 2B rows, example and
        partner in turns, and encoded targets are (B, 2, ...). `targets` are the raw ones of train. None: no partners.
        """
        return None

    def fit(self, features: Tensor, targets: Tensor) -> dict[str, Any] | None:
        """Learn from all of train at once, and return plain facts for people; None: the core fits the parameters.

        Called where a strategy fits the head to stored features. features: (N, D), pooled as the head pools them, as
        evaluation sees the examples, on the CPU. targets: encoded, (N, ...). The state of the head must hold what it
        learnt, in buffers of a size that is known when it is built, or bundles could not be opened.
        """
        return None

    def refuse(self, target: Any, length: int) -> None:
        """Raise ValueError if an example of so many tokens (`Backbone.length`) cannot teach a raw target.

        Asked in training alone: an evaluation counts every example.
        """

    def join(self, outputs: Any, kept: Tensor) -> Any:
        """Return one input's outputs (1, ...) from those of its W windows (W, ...): their mean.

        kept (W, 2): the stretch [start, end) that each window answers for; neighbours part in the middle of their
        overlap. Heads over units keep what lies in it.
        """
        if isinstance(outputs, Tensor):
            return outputs.mean(0, keepdim=True)
        return {name: tensor.mean(0, keepdim=True) for name, tensor in outputs.items()}

    def mix(self, targets: Tensor, partners: Tensor, share: Tensor) -> Tensor:
        """Return targets blended like mixed inputs: `share` (B,) of the first, the rest of the partner's."""
        raise NotImplementedError
