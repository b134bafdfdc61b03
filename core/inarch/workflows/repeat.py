"""A capsule's step, taken again as training took it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from inarch.data.loaders import Item
from inarch.description import files_of
from inarch.errors import RunError
from inarch.interfaces.dataset import Targets
from inarch.model import Model
from inarch.opening import Allowance
from inarch.parts import rebuild
from inarch.training.capsule import FACTS, WEIGHTS, Capsule
from inarch.training.generators import put_back_plain
from inarch.training.hardware import prepare_model, prepare_process
from inarch.training.optimization import scale_gradients
from inarch.training.step import Retry, accumulate, is_finite
from inarch.weights import load_strictly, read_state
from inarch.workflows.start import speed_up


@dataclass(frozen=True)
class Figures:
    """What a step came to."""

    loss: float
    """The mean over the step's examples."""
    gradient_norm: float
    """Before clipping."""
    finite: bool


class Step:
    """A capsule's step, which can be taken as often as wanted; nothing is changed by it."""

    def __init__(self, kept: Capsule) -> None:
        self.kept, facts = kept, kept.facts
        on_cpu = facts.device != "cuda" or not torch.cuda.is_available()
        self.accelerator = Accelerator(cpu=on_cpu, mixed_precision="no")
        with Allowance(kept.directory, False, FACTS):
            self.model = self._build(self.accelerator.device)
        self.trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.retry = Retry(self.model, self.accelerator.device)
        self.retry.remember()

    def _build(self, device: torch.device) -> Model:
        """Build the model with no network and no data set, and put it into the state in which the step began."""
        directory, facts = self.kept.directory, self.kept.facts
        told, whose = facts.model, "the capsule's"
        prepare_process(device)
        backbone = rebuild("backbones", told["backbone"], told, files_of(directory), whose=whose)
        if "strategy" in told:
            rebuild("strategies", told["strategy"], told, {}, whose=whose).adapt(backbone)
        targets = Targets(**told["targets"])
        model = Model(backbone, rebuild("heads", told["head"], told, {}, targets, backbone.num_features, whose=whose))
        load_strictly(model, read_state(directory / WEIGHTS), str(directory / WEIGHTS))
        prepare_model(model, device, facts.precision)
        model.to(device)
        speed_up(model, self.kept.recipe)
        own, trained = dict(model.named_parameters()), set(facts.trained)
        if trained - own.keys():
            raise RunError(f"{directory}: the model has no parameter '{min(trained - own.keys())}'")
        for name, parameter in own.items():
            parameter.requires_grad_(name in trained)
        model.frozen = [model.get_submodule(name) for name in facts.still]
        return model.train()

    def take(
        self, items: Sequence[Item], precision: str | None = None, forward: Callable[..., Any] | None = None
    ) -> Figures:
        """Return what a step over `items` comes to, one of each process; the gradients stay with the parameters.

        forward: the model, by default as it was trained: compiled, where it was.
        """
        facts, device = self.kept.facts, self.accelerator.device
        precision = precision or facts.precision
        scaler = torch.GradScaler(device.type, init_scale=float(facts.scale), enabled=precision == "fp16")
        total, parts = torch.zeros(5, dtype=torch.float64, device=device), []
        for item in items:
            self.model.zero_grad(set_to_none=True)
            self.retry.undo_buffers()
            put_back_plain(item["random"], device, str(self.kept.directory))
            alike = {**item, "size": math.ceil(item["size"] / len(facts.processes))}  # for one process now
            total += accumulate(
                forward or self.model, self.model, alike, facts.micro_batch_size, self.accelerator, precision, scaler
            )
            parts.append([parameter.grad for parameter in self.trained.values()])
        parameters, count = list(self.trained.values()), len(items)
        for parameter, gradients in zip(parameters, zip(*parts, strict=True), strict=True):
            parameter.grad = _mean(gradients)
        scaler.unscale_(torch.optim.SGD(parameters))
        norm = scale_gradients(parameters, count / total[1].clamp_min(1e-12), self.kept.recipe.train.clip)
        finite = bool(is_finite(torch.cat([total, norm.to(total)[None]]), scaler))
        return Figures(float(total[0] / total[1].clamp_min(1e-12)), float(norm), finite)


def _mean(gradients: Sequence[Tensor | None]) -> Tensor | None:
    """Return the mean of a parameter's gradients over processes, as torch's DistributedDataParallel makes it."""
    found = [gradient for gradient in gradients if gradient is not None]
    if len(gradients) == 1 or not found:
        return found[0] if found else None
    return torch.stack([gradient * (1 / len(gradients)) for gradient in found]).sum(0)
