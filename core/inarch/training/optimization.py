"""Optimizer, learning rates, and the exact gradient of a step."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from inarch.errors import RecipeError
from inarch.interfaces.strategy import Phase
from inarch.model import Model
from inarch.recipe import Train


def make_optimizer(model: Model, phase: Phase, train: Train) -> torch.optim.Optimizer:
    """Make the optimizer of a phase: one group for each rate, with and without weight decay.

    Frozen parameters are left out; those with fewer than two dimensions (biases, norms) are not decayed.
    """
    own, fresh = dict(model.backbone.named_parameters()), model.backbone.fresh
    rated = [(own[name], rate) for layer, rate in zip(model.backbone.layers(), phase.layer_rates, strict=True)
             if rate is not None for name in layer
             if name not in fresh and (phase.trains is None or name in phase.trains)]  # fmt: skip
    rated += [(own[name], phase.head_rate) for name in own if name in fresh]
    rated += [(parameter, phase.head_rate) for parameter in model.head.parameters() if parameter.requires_grad]
    if not rated:
        raise RecipeError(
            "strategy: nothing is left to train: the backbone is frozen, and the head has no parameters of its own; "
            "choose another strategy, full for example"
        )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter, rate in rated:
        groups.setdefault((rate, train.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    if train.optimizer == "sgd":
        return torch.optim.SGD(options, momentum=train.momentum, fused=True)
    return torch.optim.AdamW(options, fused=True)


def rate_factor(step: int, steps: int, train: Train) -> float:
    """Return the share of the peak rate at a step of a phase, counted from 0 in optimizer steps."""
    warmup = math.ceil(train.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    if train.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1 - progress if train.schedule == "linear" else 1.0


def set_rates(optimizer: Any, factor: float) -> None:
    """Set every group's rate to a share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def micro_batches(size: int, largest: int, parts: int) -> list[tuple[slice, bool]]:
    """Cut `size` examples into `parts` slices as equal as possible, each with whether it is idle.

    All processes run the same number of parts; one with too few examples repeats its first one, and does not count it.
    """
    filled = min(size, max(parts, -(-size // largest)))
    bounds = [round(part * size / filled) for part in range(filled + 1)]
    slices = [(slice(start, end), False) for start, end in pairwise(bounds)]
    return slices + [(slice(0, 1), True)] * (parts - filled)


def scale_gradients(parameters: Sequence[nn.Parameter], factor: Tensor, clip: float | None) -> None:
    """Turn gradients of sums into gradients of the mean, and clip their norm; nothing waits for the device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for _, group in _by_type(gradients).items():
        torch._foreach_mul_(group, factor.to(group[0].dtype))
    if clip is not None:
        nn.utils.clip_grad_norm_(parameters, clip)


def _by_type(tensors: Sequence[Tensor]) -> dict[torch.dtype, list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.dtype, []).append(tensor)
    return groups
