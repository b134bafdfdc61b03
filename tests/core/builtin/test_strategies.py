"""Strategies over the toy backbone: their phases, from the recipe to the bundle, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Inarch
from inarch_toy.backbone import Vectors
from safetensors.torch import load_file, save_file
from transfers import CHECKS, RATE, go

import inarch
from inarch import plugins
from inarch.builtin.averaging import soup, wise_ft
from inarch.builtin.selected import bias_only, norm_only
from inarch.builtin.unfreezing import gradual_unfreezing, lp_ft
from inarch.recipe import Train
from inarch.schema import parameters

BATCH = {"vector": torch.linspace(-1, 1, 24).view(6, 4)}


def vectors(depth: int = 3, norm: bool = True) -> Vectors:
    torch.manual_seed(0)
    return Vectors("none", 4, 8, depth, 0.0, norm, 0.0, False, 0)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a backbone whose norms have seen something."""
    backbone = vectors(depth=2)
    backbone(vector=torch.randn(20, 4))
    save_file(backbone.state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


@pytest.mark.parametrize("check", CHECKS)
def test_a_strategy_trains_what_it_says(check: Any) -> None:
    check(vectors(), BATCH)


@pytest.mark.parametrize("epochs", [2, 3, 5, 8, 50])
@pytest.mark.parametrize("depth", [1, 3, 40])
def test_gradual_unfreezing_takes_the_epochs_of_the_recipe_however_deep_the_backbone(depth: int, epochs: int) -> None:
    phases = gradual_unfreezing().phases(vectors(depth), Train(epochs=epochs))
    assert sum(phase.epochs for phase in phases) == epochs
    assert len(phases) == 1 + min(4, depth, epochs - 1)
    assert len(phases[0].frozen) == depth and not phases[-1].frozen
    thawed = [depth - len(phase.frozen) for phase in phases]
    assert thawed == sorted(set(thawed))  # each phase trains more than the one before


def test_groups_of_forty_layers_are_equal_and_slower_towards_the_input() -> None:
    *_, last = gradual_unfreezing().phases(vectors(40), Train(learning_rate=1.0, epochs=9))
    expected = [1 / 2.6 ** (3 - index // 10) for index in range(40)]
    assert last.layer_rates == pytest.approx(expected)


def test_gradual_unfreezing_in_one_epoch_is_refused_with_what_to_write() -> None:
    with pytest.raises(inarch.RecipeError, match=r"an epoch for the head.*train\.epochs is 1, write 2 or more"):
        gradual_unfreezing().phases(vectors(), Train(epochs=1))


@pytest.mark.parametrize("epochs, tuned", [(1, 1), (2, 1), (7, 6)])
def test_the_probe_of_lp_ft_is_fitted_and_leaves_fine_tuning_the_other_epochs(epochs: int, tuned: int) -> None:
    for strategy in (lp_ft(), wise_ft()):
        probe, tuning = strategy.phases(vectors(), Train(epochs=epochs))
        assert (probe.epochs, tuning.epochs, probe.views, tuning.views) == (1, tuned, 1, 0)


def test_a_backbone_without_biases_or_norms_is_refused_with_what_to_use() -> None:
    plain = vectors(norm=False)
    with pytest.raises(inarch.RecipeError, match=r"norm_only finds no norm with parameters.*use bias_only, lora"):
        norm_only().phases(plain, Train())
    for block in plain.blocks:
        block[0].bias = None
    with pytest.raises(inarch.RecipeError, match="bias_only finds no bias in this backbone; use norm_only"):
        bias_only().phases(plain, Train())


def test_biases_are_known_by_the_last_part_of_their_names() -> None:
    class Odd(Vectors):
        def __init__(self) -> None:
            super().__init__("none", 4, 8, 1, 0.0, False, 0.0, False, 0)
            self.attention = torch.nn.MultiheadAttention(8, 2)
            self.cell = torch.nn.GRU(8, 8)
            self.register_parameter("bias_of_places", torch.nn.Parameter(torch.zeros(3, 3)))
            self.register_parameter("unbiased", torch.nn.Parameter(torch.zeros(3)))

        def layers(self) -> list[list[str]]:
            return [[name for name, _ in self.named_parameters()]]

    [phase] = bias_only().phases(Odd(), Train())
    assert phase.trains == {
        "blocks.0.0.bias", "attention.in_proj_bias", "attention.out_proj.bias", "cell.bias_ih_l0", "cell.bias_hh_l0",
    }  # fmt: skip


def test_layer_decay_is_an_option_of_every_strategy_that_trains_layers() -> None:
    strategies = plugins.loaded().components["strategies"]
    able = {name for name, entry in strategies.items() if "layer_decay" in parameters(entry.build)}
    assert {name for name, entry in strategies.items() if entry.plugin == "core"} - able == {"linear_probe"}
    for build in (bias_only, norm_only, lp_ft, wise_ft, soup):
        [*_, phase] = build(layer_decay=0.5).phases(vectors(), Train(learning_rate=1.0))
        last = phase.layer_rates[-1]
        assert phase.layer_rates == pytest.approx((last / 4, last / 2, last))


def test_the_head_is_as_fast_as_the_last_layer_times_its_multiplier() -> None:
    for build, rate in ((bias_only, 10), (lp_ft, 0.1), (gradual_unfreezing, 1), (soup, 1)):
        [*_, phase] = go(build(head_multiplier=3.0), vectors(), BATCH)
        assert phase.head == pytest.approx(3 * rate * RATE)


def test_frozen_weights_have_the_bits_that_were_loaded(toy_recipe: Path, tmp_path: Path, weights: Path) -> None:
    options = {"strategy": "norm_only", "backbone.norm": True, "backbone.weights": str(weights), "train.epochs": 3}
    result = inarch.train(toy_recipe, options, out=tmp_path / "run")
    before, after = load_file(weights), load_file(result.directory / "model" / "model.safetensors")
    changed = {name for name, tensor in before.items() if not torch.equal(after[f"backbone.{name}"], tensor)}
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert changed == {f"blocks.{index}.1.{part}" for index in range(2) for part in parts}


def test_an_option_that_a_strategy_does_not_have_is_told(toy_recipe: Path, inarch: Inarch) -> None:
    ended = inarch("train", toy_recipe, "strategy={name: lp_ft, groups: 3}")
    assert ended.returncode == 2
    assert "unknown option 'groups'" in ended.stderr and "probe_epochs" in ended.stderr
