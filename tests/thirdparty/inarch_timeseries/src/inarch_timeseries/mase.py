"""The mean absolute scaled error."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class ScaledError(Metric):
    """A sum of scaled errors and their number, in float64: any batches and processes give the same mean."""

    higher_is_better = False
    full_state_update = False
    errors: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("errors", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[Mapping[str, Any]], targets: Sequence[Mapping[str, Any]]) -> None:
        """Take forecasts, a list of channels for each step, and as many futures with their units."""
        for prediction, target in zip(predictions, targets, strict=True):
            forecast, future, unit = (
                torch.tensor(values, dtype=torch.float64, device=self.errors.device)
                for values in (prediction["forecast"], target["values"], target["unit"])
            )
            self.errors += ((forecast - future).abs() / unit).sum()
            self.count += future.numel()

    def compute(self) -> Tensor:
        """Return a scalar, 0 or more."""
        return self.errors / self.count
