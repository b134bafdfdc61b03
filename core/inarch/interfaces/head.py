"""What a head is: features to outputs, loss and predictions. The head is the task.

Shapes: B batch, C classes, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from inarch.interfaces.backbone import Features


class Head(nn.Module, ABC):
    """Features to outputs, and everything that is particular to a task."""

    needs: frozenset[str]
    """Which fields of Features `forward` reads."""

    @abstractmethod
    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return raw targets, one per example, as a tensor whose first dimension is B."""

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Return outputs, first dimension B."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sum, count), never a mean: the loop divides by the count over all micro-batches and processes."""

    @abstractmethod
    def scores(self, outputs: Tensor) -> Tensor:
        """Return what metrics compare with the encoded targets: probabilities (B, C), or values."""

    @abstractmethod
    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return one plain, readable prediction per example, with its scores."""

    def mix(self, targets: Tensor, partners: Tensor, share: Tensor) -> Tensor:
        """Return targets blended like mixed inputs: `share` (B,) of the first, the rest of the partner's."""
        raise NotImplementedError
