"""Linear layers in fp32 through oneDNN's matrix product instead of MKL's, on a CPU on which that is the faster one.

On an AMD processor (Zen 5) MKL reaches half of what oneDNN does: with 768 rows and 384 to 1,536 features, forward and
backward took 0.44 to 0.61 of the time, on one thread and on two. Below the limits here the call itself costs what it
gains. Equal up to the order of summation: outputs and gradients of a layer within 1e-6 relative.

Shapes: K features in, N features out.
"""

from pathlib import Path
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEWEST_FEATURES, FEWEST_ROWS = 128, 64


def is_faster(processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Say whether this machine gains: by its maker, not by the clock, for a resumed run must compute as before."""
    return torch.backends.mkldnn.is_available() and is_amd(processor)  # type: ignore[no-untyped-call]


def is_amd(processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Say whether the processor is AMD's."""
    if not processor.exists():
        return False
    with processor.open(encoding="utf-8", errors="replace") as lines:
        return any(line.startswith("vendor_id") and "AuthenticAMD" in line for line in lines)


def fits(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Say whether a module is a plain linear layer that is large enough to gain."""
    return type(module) is nn.Linear and min(module.in_features, module.out_features) >= FEWEST_FEATURES


class Linear:
    """The forward of a module that `fits`; what is not fp32 on a CPU, or too small to gain, goes the usual way."""

    def __init__(self, module: nn.Linear) -> None:
        self.module = module

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return (..., N) for inputs (..., K)."""
        weight, bias = self.module.weight, self.module.bias
        single = inputs.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        small = inputs.numel() < FEWEST_ROWS * inputs.shape[-1]
        # torch.compile chooses products by itself, and fails on one that it did not put there
        if small or not single or inputs.device.type != "cpu" or torch.compiler.is_compiling():
            return F.linear(inputs, weight, bias)
        result: Tensor = _Linear.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
        return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return _product(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        of_inputs, of_weight, of_bias = ctx.needs_input_grad
        rows = gradient.flatten(0, -2)
        return (
            _product(gradient, weight.t()) if of_inputs else None,
            _product(rows.t(), inputs.flatten(0, -2).t()) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def _product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return inputs (..., K) times the transpose of a weight (N, K), plus a bias: (..., N)."""
    # the product that torch.compile puts in place of linear layers: it has no autograd of its own
    product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return product
