"""The head `knn`: the class of the nearest examples of train.

Shapes: B batch, C classes, D features, M examples of train.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inarch.builtin.head_modules import name_classes, pool
from inarch.errors import RecipeError
from inarch.interfaces.backbone import Features
from inarch.interfaces.dataset import Targets
from inarch.interfaces.head import Head

CHOICES = (1, 5, 10, 20)
"""How many neighbours are tried, as in arXiv 2503.18528."""
TEMPERATURE = 0.07
"""A neighbour's vote is exp(cosine / this): Wu et al. 2018, arXiv 1805.01978."""
CHUNK = 1024


class Neighbours(Head):
    """One class per example, by the vote of the examples of train whose features point the same way."""

    bank: Tensor
    numbers: Tensor
    known: Tensor
    k: Tensor

    def __init__(self, targets: Targets, num_features: int, k: int | Literal["auto"], pooling: str) -> None:
        super().__init__()
        self.pooling, self.wanted = pooling, k
        self.needs = frozenset({"pooled" if pooling == "pooled" else "tokens"})
        self.classes, self.values = targets.classes, targets.details["values"]
        size = sum(targets.counts["train"])
        self.register_buffer("bank", torch.zeros(size, num_features))  # (M, D), of length 1
        self.register_buffer("numbers", torch.zeros(size, dtype=torch.int64))  # (M,), their classes
        self.register_buffer("known", torch.zeros((), dtype=torch.int64))  # how many rows of the bank are filled
        self.register_buffer("k", torch.ones((), dtype=torch.int64))

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return class numbers (B,)."""
        return torch.tensor([self.values[str(target)] for target in targets])

    def forward(self, features: Features) -> Tensor:
        """Return the features (B, D): those of an input's windows have a mean, as those of train have."""
        if self.training:
            raise RecipeError(
                "head: 'knn' has nothing that steps could train: it remembers what a frozen backbone makes of train; "
                "write strategy: linear_probe"
            )
        return pool(features, self.pooling)

    def fit(self, features: Tensor, targets: Tensor) -> dict[str, Any]:
        """Remember all of train, and choose k by how many are right when each is left out; of equal ones the largest.

        Features are (N, D), N at most M.
        """
        with torch.no_grad():
            self.known.fill_(len(features))
            self.bank[: len(features)] = F.normalize(features.to(self.bank), dim=-1)
            self.numbers[: len(features)] = targets.to(self.numbers.device)
            tried = [k for k in CHOICES if k < len(features)] if self.wanted == "auto" else []
            right = self._left_out(tried) if tried else []
            best = max(zip(right, tried, strict=True))[1] if tried else 1
            self.k.fill_(best if self.wanted == "auto" else min(self.wanted, len(features)))
        facts: dict[str, Any] = {"neighbours": int(self.k)}
        return {**facts, "left_out": list(zip(tried, right, strict=True))} if tried else facts

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summed negative logarithm of the true class' share, at least 1 in M + 1, and the number."""
        shares = self.scores(outputs).gather(1, targets[:, None])[:, 0]
        return -shares.clamp_min(1 / (int(self.known) + 1)).log().sum(), outputs.new_tensor(len(outputs))

    def scores(self, outputs: Tensor) -> Tensor:
        """Return each class' share of the votes (B, C)."""
        parts = [self._vote(*self._nearest(part, int(self.k))) for part in outputs.split(CHUNK)]  # type: ignore[no-untyped-call]
        return torch.cat(parts)

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return the class with most votes, its share, and those of all classes."""
        return name_classes(self.classes, self.scores(outputs))

    def _nearest(self, features: Tensor, k: int, first: int | None = None) -> tuple[Tensor, Tensor]:
        """Return cosines (B, k) and class numbers (B, k) of the nearest; row `first` + i of the bank is not row i's."""
        cosines = F.normalize(features, dim=-1) @ self.bank[: int(self.known)].T
        if first is not None:
            rows = torch.arange(len(features), device=cosines.device)
            cosines[rows, rows + first] = float("-inf")
        found = cosines.topk(k)
        return found.values, self.numbers[found.indices]

    def _vote(self, cosines: Tensor, numbers: Tensor) -> Tensor:
        votes = (cosines / TEMPERATURE).softmax(-1)
        return votes.new_zeros(len(votes), len(self.classes)).scatter_add_(1, numbers, votes)

    def _left_out(self, tried: Sequence[int]) -> list[float]:
        """Return for each k the share of train that the others' votes get right."""
        size = int(self.known)
        right = [0] * len(tried)
        for start in range(0, size, CHUNK):
            part = slice(start, min(start + CHUNK, size))
            cosines, numbers = self._nearest(self.bank[part], max(tried), start)
            for place, k in enumerate(tried):
                found = self._vote(cosines[:, :k], numbers[:, :k]).argmax(1)
                right[place] += int((found == self.numbers[part]).sum())
        return [count / size for count in right]
