"""Optimizer, learning rates, and the exact gradient of a step."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from inarch.errors import RecipeError
from inarch.interfaces.strategy import Phase
from inarch.model import Model
from inarch.recipe import Train
from inarch.training.sharding import cut, whole


def make_optimizer(model: Model, phase: Phase, train: Train) -> torch.optim.Optimizer:
    """Make the optimizer of a phase: one group for each rate, with and without weight decay.

    Frozen parameters are left out; those with fewer than two dimensions (biases, norms) are not decayed, nor is what
    the phase pulls to where it began.
    """
    own, fresh = dict(model.backbone.named_parameters()), model.backbone.fresh
    decay = train.weight_decay
    rated = [(own[name], rate, 0.0 if phase.pull else decay) for name, rate in trained_rates(model, phase).items()]
    rated += [(own[name], phase.head_rate, decay) for name in own if name in fresh]
    rated += [(parameter, phase.head_rate, decay) for parameter in model.head.parameters() if parameter.requires_grad]
    if not rated:
        raise RecipeError(
            "strategy: nothing is left to train: the backbone is frozen, and the head has no parameters of its own; "
            "choose another strategy, full for example"
        )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter, rate, decay in rated:
        groups.setdefault((rate, decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    if train.optimizer == "sgd":
        return torch.optim.SGD(options, momentum=train.momentum, fused=True)
    return torch.optim.AdamW(options, fused=True)


def trained_rates(model: Model, phase: Phase) -> dict[str, float]:
    """Return the peak rate of each of the backbone's pretrained parameters that a phase trains, by name."""
    return {
        name: rate
        for layer, rate in zip(model.backbone.layers(), phase.layer_rates, strict=True)
        if rate is not None
        for name in layer
        if name not in model.backbone.fresh and (phase.trains is None or name in phase.trains)
    }


def first_values(model: Model, phases: Sequence[Phase]) -> dict[str, Tensor]:
    """Return copies of the parameters of the backbone that some phase pulls to where they are now, by name."""
    pulled = {name for phase in phases if phase.pull for name in trained_rates(model, phase)}
    return {name: p.detach().clone() for name, p in model.backbone.named_parameters() if name in pulled}


class Pull:
    """The gradient of a phase's pull: strength times the way from the first values (L2-SP, arXiv 1802.01483)."""

    def __init__(self, model: Model, phase: Phase, first: Mapping[str, Tensor]) -> None:
        self.strength = phase.pull
        own = dict(model.backbone.named_parameters())
        self.pairs = [(own[name], cut(first[name], own[name])) for name in trained_rates(model, phase)]

    def add(self) -> None:
        """Add it to the gradients; a parameter without one has not moved. Nothing waits for the device."""
        moved = [(p.grad, p.detach(), first) for p, first in self.pairs if p.grad is not None]
        ways = torch._foreach_sub([parameter for _, parameter, _ in moved], [first for _, _, first in moved])
        torch._foreach_add_([gradient for gradient, _, _ in moved], ways, alpha=self.strength)


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


def scale_gradients(
    parameters: Sequence[nn.Parameter], factor: Tensor, clip: float | None, pull: Pull | None = None
) -> Tensor:
    """Turn gradients of sums into gradients of the mean, add the pull, and clip; nothing waits for the device.

    Returns the norm of the gradient before it is clipped, a scalar.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for _, group in _by_type(gradients).items():
        torch._foreach_mul_(group, factor.to(group[0].dtype))
    if pull is not None:
        pull.add()
    norm: Tensor = whole(
        nn.utils.get_total_norm(gradients) if clip is None else nn.utils.clip_grad_norm_(parameters, clip)
    )
    return norm


def _by_type(tensors: Sequence[Tensor]) -> dict[torch.dtype, list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.dtype, []).append(tensor)
    return groups
