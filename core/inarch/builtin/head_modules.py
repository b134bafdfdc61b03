"""The core's heads as modules. Shapes: B batch, C classes, D features, T tokens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inarch.data.classes import split_labels
from inarch.errors import RecipeError, unknown
from inarch.interfaces.backbone import Features
from inarch.interfaces.dataset import Targets
from inarch.interfaces.head import Head


def pool(features: Features, pooling: str) -> Tensor:
    """Return (B, D): the backbone's own pooled features, or the mean or maximum of the tokens that are not padding."""
    if pooling == "pooled":
        assert features.pooled is not None
        return features.pooled
    assert features.tokens is not None
    tokens = features.tokens
    mask = (
        torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if features.mask is None else features.mask
    )
    if pooling == "max":
        return tokens.masked_fill(~mask[..., None], float("-inf")).amax(1)
    weights = mask[..., None].to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1).clamp_min(1)


class _Linear(Head):
    """Pooling, an optional hidden layer, dropout, and a linear layer to `size` outputs."""

    def __init__(self, num_features: int, size: int, hidden: int | None, dropout: float, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling
        self.needs = frozenset({"pooled" if pooling == "pooled" else "tokens"})
        self.hidden = nn.Sequential(nn.Linear(num_features, hidden), nn.GELU()) if hidden else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden or num_features, size)

    def forward(self, features: Features) -> Tensor:
        """Return (B, size)."""
        outputs: Tensor = self.linear(self.dropout(self.hidden(pool(features, self.pooling))))
        return outputs


class Classifier(_Linear):
    """One class per example."""

    weights: Tensor

    def __init__(
        self,
        targets: Targets,
        num_features: int,
        label_smoothing: float,
        class_weights: str | Mapping[str, float],
        hidden: int | None,
        dropout: float,
        pooling: str,
    ) -> None:
        super().__init__(num_features, len(targets.classes), hidden, dropout, pooling)
        self.classes, self.values, self.label_smoothing = targets.classes, targets.details["values"], label_smoothing
        counts = torch.tensor(targets.counts["train"], dtype=torch.float64)
        balanced = counts.sum() / (len(counts) * counts.clamp_min(1))
        self.register_buffer("weights", choose_weights(targets.classes, class_weights, balanced), persistent=False)

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return class numbers (B,)."""
        return torch.tensor([self.values[str(target)] for target in targets])

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted cross-entropy, summed, and the sum of the weights; `targets` (B,), or (B, C) if mixed."""
        weights = self.weights.to(outputs.dtype)
        total = F.cross_entropy(outputs, targets.to(outputs.dtype) if targets.is_floating_point() else targets,
                                weights, reduction="sum", label_smoothing=self.label_smoothing)  # fmt: skip
        count = (targets * weights).sum() if targets.is_floating_point() else weights[targets].sum()
        return total, count

    def mix(self, targets: Tensor, partners: Tensor, share: Tensor) -> Tensor:
        """Return class probabilities (B, C)."""
        first, second = (F.one_hot(numbers, len(self.classes)).to(share.dtype) for numbers in (targets, partners))
        return share[:, None] * first + (1 - share[:, None]) * second

    def scores(self, outputs: Tensor) -> Tensor:
        """Return class probabilities (B, C)."""
        return outputs.softmax(-1)

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return the likeliest class, its probability, and those of all classes."""
        return name_classes(self.classes, self.scores(outputs))


class Multilabel(_Linear):
    """Any number of labels per example."""

    weights: Tensor

    def __init__(
        self,
        targets: Targets,
        num_features: int,
        label_smoothing: float,
        class_weights: str | Mapping[str, float],
        threshold: float,
        hidden: int | None,
        dropout: float,
        pooling: str,
    ) -> None:
        super().__init__(num_features, len(targets.classes), hidden, dropout, pooling)
        self.classes, self.values = targets.classes, targets.details["values"]
        self.label_smoothing, self.threshold = label_smoothing, threshold
        positive = torch.tensor(targets.counts["train"], dtype=torch.float64)
        total = float(targets.details.get("examples", positive.sum()))
        self.register_buffer(
            "weights",
            choose_weights(targets.classes, class_weights, (total - positive) / positive.clamp_min(1)),
            persistent=False,
        )

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return 0 or 1 for each label (B, C)."""
        encoded = torch.zeros(len(targets), len(self.classes), dtype=torch.int64)
        for row, target in enumerate(targets):
            for label in split_labels(target):
                encoded[row, self.values[label]] = 1
        return encoded

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the binary cross-entropy summed over examples, a mean over labels, and the number of examples."""
        smooth = targets.to(outputs.dtype) * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        total = F.binary_cross_entropy_with_logits(
            outputs, smooth, pos_weight=self.weights.to(outputs.dtype), reduction="sum"
        )
        return total / len(self.classes), outputs.new_tensor(len(outputs))

    def mix(self, targets: Tensor, partners: Tensor, share: Tensor) -> Tensor:
        """Return label probabilities (B, C)."""
        return share[:, None] * targets + (1 - share[:, None]) * partners

    def scores(self, outputs: Tensor) -> Tensor:
        """Return label probabilities (B, C)."""
        return outputs.sigmoid()

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return the labels at or above the threshold, and the probability of each."""
        return [
            {"labels": [name for name, score in zip(self.classes, row, strict=True) if score >= self.threshold],
             "scores": dict(zip(self.classes, row, strict=True))}
            for row in self.scores(outputs).tolist()
        ]  # fmt: skip


class Regressor(_Linear):
    """One number per example."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, targets: Targets, num_features: int, loss: str, hidden: int | None, dropout: float, pooling: str
    ) -> None:
        super().__init__(num_features, 1, hidden, dropout, pooling)
        penalties: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
        self.penalty = penalties[loss]
        for name in ("mean", "deviation"):
            self.register_buffer(name, torch.tensor(float(targets.details[name])), persistent=False)

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return the targets (B,), in their own unit."""
        return torch.tensor([float(target) for target in targets])

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the penalty on standardised targets, summed, and the number of examples."""
        standardised = (targets.to(outputs.dtype) - self.mean) / self.deviation
        return self.penalty(outputs[:, 0], standardised, reduction="sum"), outputs.new_tensor(len(outputs))

    def mix(self, targets: Tensor, partners: Tensor, share: Tensor) -> Tensor:
        """Return targets (B,) on the line between the two."""
        return share * targets + (1 - share) * partners

    def scores(self, outputs: Tensor) -> Tensor:
        """Return predicted values (B,), in the targets' own unit."""
        return outputs[:, 0] * self.deviation + self.mean

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return the predicted value."""
        return [{"value": value} for value in self.scores(outputs).tolist()]


def choose_weights(classes: Sequence[str], choice: str | Mapping[str, float], balanced: Tensor) -> Tensor:
    """Return the weight of each class (C,): ones, `balanced`, or those that a recipe names, the others one."""
    if choice == "none":
        return torch.ones(len(classes))
    if choice == "balanced":
        return balanced.float()
    assert isinstance(choice, Mapping)
    for name in choice:
        if name not in classes:
            raise RecipeError(f"head.class_weights: {unknown('class', name, classes)}")
    return torch.tensor([float(choice.get(name, 1.0)) for name in classes])


def name_classes(classes: Sequence[str], probabilities: Tensor) -> list[dict[str, Any]]:
    """Return for each row of probabilities (B, C) the likeliest class, its probability, and those of all classes."""
    return [
        {
            "class": classes[max(range(len(row)), key=row.__getitem__)],
            "score": max(row),
            "scores": dict(zip(classes, row, strict=True)),
        }
        for row in probabilities.tolist()
    ]
