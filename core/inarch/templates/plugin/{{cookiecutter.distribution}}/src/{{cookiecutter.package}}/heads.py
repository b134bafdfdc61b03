"""The head: features to the probability of each of several ordered classes.

Shapes: B batch, C classes, D features.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from inarch import Features, Head, Targets
from torch import Tensor, nn


class Ordinal(Head):
    """C - 1 questions, "is it beyond class c?", that share one direction in the features."""

    needs = frozenset({"pooled"})

    def __init__(self, targets: Targets, num_features: int, dropout: float) -> None:
        super().__init__()
        self.classes, self.numbers = targets.classes, targets.details["values"]
        self.dropout = nn.Dropout(dropout)
        self.direction = nn.Linear(num_features, 1, bias=False)
        ends = torch.arange(1, len(self.classes)).div(len(self.classes)).logit()  # all classes equally likely
        self.first = nn.Parameter(ends[:1])
        self.widths = nn.Parameter(ends.diff().expm1().log())

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return class numbers (B,)."""
        return torch.tensor([self.numbers[str(target)] for target in targets])

    def forward(self, features: Features) -> Tensor:
        """Return the logits (B, C - 1) of the questions, which fall from class to class."""
        assert features.pooled is not None
        ends = torch.cat([self.first, self.first + F.softplus(self.widths).cumsum(0)])
        place: Tensor = self.direction(self.dropout(features.pooled))
        return place - ends

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of the questions, summed over examples, a mean over questions; and B.

        A sum and a count, never a mean: inarch divides by the count over all processes and micro-batches.
        """
        beyond = targets[:, None] > torch.arange(len(self.classes) - 1, device=targets.device)
        total = F.binary_cross_entropy_with_logits(outputs, beyond.to(outputs.dtype), reduction="sum")
        return total / (len(self.classes) - 1), outputs.new_tensor(len(outputs))

    def scores(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the classes (B, C): of being beyond the one before, but not beyond it."""
        beyond = F.pad(outputs.sigmoid(), (1, 0), value=1.0)
        return beyond - F.pad(outputs.sigmoid(), (0, 1), value=0.0)

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return the likeliest class, its probability, and those of all classes."""
        return [
            {"class": self.classes[row.index(max(row))],
             "score": max(row),
             "scores": dict(zip(self.classes, row, strict=True))}
            for row in self.scores(outputs).tolist()
        ]  # fmt: skip
