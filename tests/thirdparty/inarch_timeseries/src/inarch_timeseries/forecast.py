"""Forecasts. Shapes: B batch, C channels, D features, H steps to forecast, P patches of a channel."""

from collections.abc import Sequence
from typing import Any

import torch
from inarch import Features, Head, Targets
from torch import Tensor, nn


class Forecast(Head):
    """Each channel's next steps, from the mean of its patches and its last one.

    Outputs are forecasts (B, H, C) in the units of the input, and the `spread` (B, C) of each window. The loss is the
    absolute error in units of the spread, so that loud series count no more than quiet ones. It has no scores: metrics
    compare its predictions with raw futures, which know the unit of their errors.
    """

    needs = frozenset({"tokens", "scale"})

    def __init__(self, targets: Targets, num_features: int, dropout: float) -> None:
        super().__init__()
        self.horizon, self.channels = targets.details["horizon"], targets.details["channels"]
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * num_features, self.horizon)

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return futures (B, H, C)."""
        return torch.tensor([target["values"] for target in targets], dtype=torch.float32)

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return `forecast` (B, H, C) and `spread` (B, C)."""
        assert features.tokens is not None and features.scale is not None
        tokens = features.tokens.unflatten(1, (self.channels, -1))  # (B, C, P, D)
        mask = tokens.new_ones(tokens.shape[:3], dtype=torch.bool)
        if features.mask is not None:
            mask = features.mask.unflatten(1, (self.channels, -1))
        count = mask.sum(2, keepdim=True).clamp_min(1)
        mean = (tokens * mask[..., None]).sum(2) / count
        last = tokens.gather(2, (count - 1)[..., None].expand(-1, -1, -1, tokens.shape[3]))[:, :, 0]
        steps = self.linear(self.dropout(torch.cat([mean, last], -1)))  # (B, C, H)
        level, spread = features.scale.unbind(-1)
        return {"forecast": (level[..., None] + spread[..., None] * steps).transpose(1, 2), "spread": spread}

    def loss(self, outputs: dict[str, Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the absolute errors in units of the windows' spread, a mean over steps and channels; and B."""
        errors = (outputs["forecast"] - targets).abs() / outputs["spread"][:, None]
        return errors.mean((1, 2)).sum(), errors.new_tensor(len(errors))

    def predict(self, outputs: dict[str, Tensor]) -> list[dict[str, Any]]:
        """Return the next steps of each example, a list of channels each."""
        return [{"forecast": steps} for steps in outputs["forecast"].tolist()]
