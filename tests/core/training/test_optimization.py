"""Rates, decay, schedules and clipping."""

import math
from itertools import pairwise

import pytest
import torch
from inarch_toy.backbone import Vectors
from torch import nn

from inarch.builtin.head_modules import Classifier
from inarch.builtin.strategies import full, linear_probe
from inarch.interfaces.dataset import Targets
from inarch.model import Model
from inarch.recipe import Train
from inarch.training.optimization import make_optimizer, micro_batches, rate_factor, scale_gradients, set_rates

TARGETS = Targets("classes", ("a", "b"), {"train": [1, 1]}, {"values": {"a": 0, "b": 1}})


@pytest.fixture
def model() -> Model:
    backbone = Vectors("none", 4, 8, 3, 0.0, True, 0.0, False, 0)
    return Model(backbone, Classifier(TARGETS, 8, 0.0, "none", None, 0.0, "pooled"))


def rates(model: Model, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """Name of each parameter to its rate and weight decay."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(p)]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }


def test_each_layer_has_the_rate_of_the_one_after_it_times_the_decay(model: Model) -> None:
    train = Train(learning_rate=0.1)
    [phase] = full(layer_decay=0.5, head_multiplier=10.0).phases(model.backbone, train)
    found = rates(model, make_optimizer(model, phase, train))
    assert [found[f"backbone.blocks.{i}.0.weight"][0] for i in range(3)] == pytest.approx([0.025, 0.05, 0.1])
    assert found["head.linear.weight"][0] == pytest.approx(1.0)
    assert set(found) == {name for name, _ in model.named_parameters()}


def test_a_linear_probe_trains_the_head_alone(model: Model) -> None:
    train = Train()
    [phase] = linear_probe().phases(model.backbone, train)
    model.freeze(phase.frozen)
    assert set(rates(model, make_optimizer(model, phase, train))) == {"head.linear.weight", "head.linear.bias"}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_weights_are_decayed_and_biases_and_norms_are_not(model: Model, optimizer: str) -> None:
    train = Train(weight_decay=0.3, optimizer=optimizer)
    [phase] = full().phases(model.backbone, train)
    for name, (_, decay) in rates(model, make_optimizer(model, phase, train)).items():
        assert decay == (0.3 if dict(model.named_parameters())[name].ndim > 1 else 0.0), name


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_follows_its_closed_form(schedule: str) -> None:
    train = Train(schedule=schedule, warmup_fraction=0.25)
    factors = [rate_factor(step, 20, train) for step in range(20)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    progress = [(step - 5) / 15 for step in range(5, 20)]
    expected = {
        "cosine": [(1 + math.cos(math.pi * x)) / 2 for x in progress],
        "linear": [1 - x for x in progress],
        "constant": [1.0] * 15,
    }[schedule]
    assert factors[5:] == pytest.approx(expected)
    assert factors[-1] > 0  # the last step still learns


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.99])
def test_short_runs_have_rates_above_zero_and_at_most_the_peak(steps: int, warmup: float) -> None:
    factors = [rate_factor(step, steps, Train(warmup_fraction=warmup)) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)


def test_rates_are_shares_of_each_groups_own_peak(model: Model) -> None:
    train = Train(learning_rate=0.1)
    [phase] = full(layer_decay=0.5).phases(model.backbone, train)
    optimizer = make_optimizer(model, phase, train)
    for factor in (0.1, 0.7):
        set_rates(optimizer, factor)
        assert all(group["lr"] == pytest.approx(factor * group["peak"]) for group in optimizer.param_groups)


def test_gradients_are_scaled_then_clipped_to_the_norm() -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, dtype=torch.float64))]
    for clip, expected in ((None, 5.0), (10.0, 5.0), (1.0, 1.0)):
        parameters[0].grad, parameters[1].grad = torch.tensor([6.0, 0.0]), torch.tensor([8.0], dtype=torch.float64)
        scale_gradients(parameters, torch.tensor(0.5, dtype=torch.float64), clip)
        norm = math.hypot(*parameters[0].grad.tolist(), *parameters[1].grad.tolist())
        assert norm == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [1, 2, 7, 16])
@pytest.mark.parametrize("largest", [1, 3, 16])
@pytest.mark.parametrize("parts", [1, 2, 6])
def test_micro_batches_cover_the_share_once_and_are_not_too_large(size: int, largest: int, parts: int) -> None:
    cut = micro_batches(size, largest, parts)
    counted = [part for part, idle in cut if not idle]
    assert counted[0].start == 0 and counted[-1].stop == size
    assert all(a.stop == b.start for a, b in pairwise(counted))
    assert all(0 < part.stop - part.start <= largest for part in counted)
    assert len(cut) >= parts
    assert all(part == slice(0, 1) for part, idle in cut if idle)
