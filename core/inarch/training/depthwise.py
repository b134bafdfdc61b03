"""The weight gradient of small 5 x 5 depthwise convolutions on a CPU, as one grouped convolution.

oneDNN computes it slowly where the maps are small: on maps up to 14 x 14 the form below took 0.16 to 0.55 of the time.
Equal up to the order of summation: gradients of a whole network within 1e-5 relative in fp32.

Shapes: B batch, C channels, H W height and width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

KERNEL, LARGEST_SIDE = (5, 5), 14


def fits(convolution: nn.Conv2d) -> bool:
    """Say whether a module is a plain 5 x 5 depthwise convolution that keeps the size of its maps."""
    plain = type(convolution) is nn.Conv2d and convolution.bias is None and convolution.padding_mode == "zeros"
    same_size = convolution.stride == convolution.dilation == (1, 1) and convolution.padding == (2, 2)
    depthwise = convolution.groups == convolution.in_channels == convolution.out_channels
    return plain and same_size and depthwise and convolution.kernel_size == KERNEL


class Convolution:
    """The forward of a module that `fits`, with the faster gradient where its maps are small."""

    def __init__(self, module: nn.Conv2d) -> None:
        self.module = module

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return (B, C, H, W) for inputs (B, C, H, W)."""
        weight = self.module.weight
        if max(inputs.shape[-2:]) > LARGEST_SIDE or not weight.requires_grad or torch.is_autocast_enabled("cpu"):
            return F.conv2d(inputs, weight, padding=2, groups=len(weight))
        result: Tensor = _Depthwise.apply(inputs, weight)  # type: ignore[no-untyped-call]
        return result


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return F.conv2d(inputs, weight, padding=2, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        inputs, weight = ctx.saved_tensors
        of_inputs = None
        if ctx.needs_input_grad[
            0
        ]:  # the gradient with respect to the inputs is the convolution with the flipped kernel
            of_inputs = F.conv2d(gradient, weight.flip(2, 3), padding=2, groups=len(weight))
        batch, channels, height, width = inputs.shape
        # every map is correlated with its own gradient: a group per example and channel, the gradient as its kernel
        maps = inputs.reshape(1, batch * channels, height, width)
        kernels = gradient.reshape(batch * channels, 1, height, width)
        of_weight = F.conv2d(maps, kernels, padding=2, groups=batch * channels)
        return of_inputs, of_weight.view(batch, channels, *KERNEL).sum(0).unsqueeze(1)
