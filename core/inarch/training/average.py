"""An exponential moving average of the weights."""

import torch
from torch import Tensor, nn

from inarch.model import Model
from inarch.training.sharding import local


class Ema(nn.Module):
    """A copy of a model whose floating-point parameters and buffers follow it; other buffers are copied.

    The decay warms up as min(decay, (1 + n) / (10 + n)) over n updates (TensorFlow's rule): without it a run of a few
    hundred steps would end close to where it began. torch's AveragedModel reads its counter from the device in every
    update; here the loop, which counts steps anyway, says which update it is.
    """

    module: Model

    def __init__(self, copied: Model, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.module = copied.requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, number: int) -> None:
        """Move the averages towards the model; `number` counts updates from 1."""
        averages, current = _parts(self.module), _parts(model)
        moving = [pair for pair in zip(averages, current, strict=True) if pair[0].is_floating_point()]
        copied = [pair for pair in zip(averages, current, strict=True) if not pair[0].is_floating_point()]
        torch._foreach_lerp_([a for a, _ in moving], [c.detach() for _, c in moving],
                             1 - min(self.decay, (1 + number) / (10 + number)))  # fmt: skip
        for average, value in copied:
            average.copy_(value)


def _parts(model: nn.Module) -> list[Tensor]:
    """Return what this process holds of parameters and buffers."""
    return [local(tensor) for tensor in (*model.parameters(), *model.buffers())]
