"""What a strategy does to a backbone: each phase takes a step, and says what moved, how fast, and what stood still."""

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from inarch import Backbone, Strategy
from inarch.builtin.head_modules import Classifier
from inarch.builtin.selected import bias_only, norm_only
from inarch.builtin.strategies import full, l2_sp
from inarch.builtin.unfreezing import gradual_unfreezing, lp_ft
from inarch.interfaces.dataset import Targets
from inarch.model import Model, hash_of
from inarch.recipe import Train
from inarch.training.optimization import Pull, first_values, make_optimizer
from inarch.training.step import optimize

TARGETS = Targets("classes", ("a", "b"), {"train": [1, 1]}, {"values": {"a": 0, "b": 1}})
RATE, DECAY = 0.5, 0.25
"""The recipe's rate and weight decay."""


@dataclass(frozen=True)
class Passed:
    """A phase that has gone a step."""

    name: str
    epochs: int
    rates: dict[str, float]
    """Peak rate of each parameter of the backbone that has one."""
    decays: dict[str, float]
    head: float
    """The peak rate of the head."""
    moved: set[str]
    """Names of the backbone's parameters that are not what they were before the step."""
    frozen: bool
    """Whether there was something frozen; that it has kept its bits is asserted."""
    pulled: dict[str, float]
    """For each parameter the mean gradient of the pull where all lie 0.5 above their first values."""


def go(strategy: Strategy, backbone: Backbone, batch: dict[str, Tensor], epochs: int = 6) -> list[Passed]:
    """Take a step of every phase with SGD, whose step shows every gradient, on a batch whose classes take turns."""
    train = Train(learning_rate=RATE, weight_decay=DECAY, optimizer="sgd", momentum=0.0, epochs=epochs)
    strategy.adapt(backbone)
    torch.manual_seed(0)
    model = Model(backbone, Classifier(TARGETS, backbone.num_features, 0.0, "none", None, 0.0, "pooled"))
    phases = strategy.phases(backbone, train)
    first = first_values(model, phases)
    return [_step(model, phase, train, first, batch) for phase in phases]


def _step(model: Model, phase: Any, train: Train, first: dict[str, Tensor], batch: dict[str, Tensor]) -> Passed:
    frozen = model.freeze(phase.frozen, phase.trains, phase.still_norms)
    before, hashed = _copies(model.backbone), hash_of(frozen)
    optimizer = make_optimizer(model, phase, train)
    model.train()
    outputs = model(batch)
    loss, count = model.head.loss(outputs, torch.arange(len(outputs)) % 2)
    loss.backward()
    total = torch.tensor([loss.item(), float(count), 0.0, 0.0], dtype=torch.float64)
    pull = Pull(model, phase, first) if phase.pull else None
    optimize(model, optimizer, total, Accelerator(cpu=True), 1.0, torch.GradScaler("cpu", enabled=False), pull)
    assert hash_of(frozen) == hashed
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    own = {name: groups[id(p)] for name, p in model.backbone.named_parameters() if id(p) in groups}
    [head] = {groups[id(p)]["peak"] for p in model.head.parameters()}
    return Passed(
        phase.name, phase.epochs, {name: group["peak"] for name, group in own.items()},
        {name: group["weight_decay"] for name, group in own.items()}, head,
        {name for name, tensor in _copies(model.backbone).items() if not torch.equal(tensor, before[name])},
        bool(frozen), _pulled(model, pull, first),
    )  # fmt: skip


@torch.no_grad()
def _pulled(model: Model, pull: Pull | None, first: dict[str, Tensor]) -> dict[str, float]:
    if pull is None:
        return {}
    own = dict(model.backbone.named_parameters())
    stood = _copies(model.backbone)
    for name, parameter in own.items():
        parameter.grad = torch.zeros_like(parameter)
        parameter.copy_(first[name] + 0.5 if name in first else parameter)
    pull.add()
    found = {name: parameter.grad.mean().item() for name, parameter in own.items() if parameter.grad.any()}
    for name, parameter in own.items():
        parameter.grad = None
        parameter.copy_(stood[name])
    return found


def _copies(backbone: Backbone) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in backbone.named_parameters()}


def train_set(passed: Passed) -> set[str]:
    """Names of the backbone's parameters that a phase trains; nearly all of them moved, and nothing else did."""
    trained = set(passed.rates)
    assert passed.moved <= trained
    assert len(passed.moved) >= 0.7 * len(trained)  # a bias before a norm, or of keys, has no gradient
    return trained


def names(backbone: Backbone) -> set[str]:
    return {name for name, _ in backbone.named_parameters()}


def probe_then_tune(backbone: Backbone, batch: dict[str, Tensor]) -> None:
    """LP-FT: nothing but the head, then everything at a tenth of the rate, but the statistics of batch norms."""
    probe, tuning = go(lp_ft(), backbone, batch)
    assert (train_set(probe), probe.frozen, probe.head, probe.epochs) == (set(), True, RATE, 1)
    assert train_set(tuning) == names(backbone)
    assert tuning.frozen == any(isinstance(module, _BatchNorm) for module in backbone.modules())  # their statistics
    assert set(tuning.rates.values()) == {tuning.head} == {0.1 * RATE} and tuning.epochs == 5


def layers_have_rates(backbone: Backbone, batch: dict[str, Tensor]) -> None:
    """Full fine-tuning: each layer half as fast as the one after it."""
    [phase] = go(full(layer_decay=0.5, head_multiplier=10.0), backbone, batch)
    assert train_set(phase) == names(backbone) and phase.head == 10 * RATE
    for distance, layer in enumerate(reversed(backbone.layers())):
        assert {phase.rates[name] for name in layer} <= {RATE * 0.5**distance}


def groups_thaw(backbone: Backbone, batch: dict[str, Tensor]) -> None:
    """Gradual unfreezing: the head, then ever more of the last layers, each group 2.6 times slower than the next."""
    head, *stages = go(gradual_unfreezing(groups=2), backbone, batch)
    assert (train_set(head), head.frozen, head.epochs) == (set(), True, 1)
    layers = backbone.layers()
    last = {name for layer in layers[-(len(layers) // 2) :] for name in layer}
    assert [train_set(stage) for stage in stages] == [last, names(backbone)]
    assert [stage.epochs for stage in stages] == [1, 4] and [stage.frozen for stage in stages] == [True, False]
    assert {stages[1].rates[name] for name in last} == {RATE} == {stages[1].head}
    assert all(abs(stages[1].rates[name] - RATE / 2.6) < 1e-9 for name in names(backbone) - last)


def biases_alone(backbone: Backbone, batch: dict[str, Tensor]) -> None:
    """BitFit: whatever is called a bias."""
    [phase] = go(bias_only(), backbone, batch)
    assert train_set(phase) == {name for name in names(backbone) if name.endswith("bias")}
    assert set(phase.rates.values()) == {10 * RATE} and set(phase.decays.values()) == {0.0} and phase.frozen


def norms_alone(backbone: Backbone, batch: dict[str, Tensor]) -> None:
    """Norms: the parameters of every module that is one."""
    found = {
        f"{path}.{name}"
        for path, module in backbone.named_modules()
        if isinstance(module, NORMS)
        for name, _ in module.named_parameters()
    }
    [phase] = go(norm_only(layer_decay=0.5), backbone, batch)
    assert train_set(phase) == found != set()
    assert max(phase.rates.values()) <= 10 * RATE and len(set(phase.rates.values())) > 1 and phase.frozen


def start_pulls(backbone: Backbone, batch: dict[str, Tensor]) -> None:
    """L2-SP: every parameter is pulled, and none is decayed."""
    [phase] = go(l2_sp(alpha=0.2), backbone, batch)
    assert train_set(phase) == names(backbone) == set(phase.pulled)
    assert all(abs(pulled - 0.2 * 0.5) < 1e-6 for pulled in phase.pulled.values())
    assert set(phase.decays.values()) == {0.0}


NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
CHECKS = [probe_then_tune, layers_have_rates, groups_thaw, biases_alone, norms_alone, start_pulls]
