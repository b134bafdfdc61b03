"""An exponential moving average of the weights."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel


class Ema(AveragedModel):
    """torch's AveragedModel, with a decay that warms up as min(decay, (1 + n) / (10 + n)) over n updates (TensorFlow's rule).

    Without the warm-up a run of a few hundred steps would end close to where it began.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        super().__init__(model, multi_avg_fn=self._blend, use_buffers=True)
        self.requires_grad_(False)

    def update_parameters(self, model: torch.nn.Module) -> None:
        """Move the averages towards the model."""
        self.updates += 1
        super().update_parameters(model)

    def _blend(self, averages: Sequence[Tensor], current: Sequence[Tensor], _: Any) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        if averages and averages[0].is_floating_point():
            torch._foreach_lerp_(list(averages), list(current), 1 - decay)
        else:
            torch._foreach_copy_(list(averages), list(current))
