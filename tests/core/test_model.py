"""Promise 5, frozen is frozen."""

import json
from pathlib import Path

import pytest
import torch
from inarch_toy.backbone import Vectors
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils.rnn import pad_sequence

import inarch
from inarch.builtin.head_modules import Classifier
from inarch.interfaces.backbone import Batch
from inarch.interfaces.dataset import Targets
from inarch.model import Model, check_layers, collect, count_parameters
from inarch.weights import fingerprint

TARGETS = Targets("classes", ("a", "b"), {"train": [1, 1]}, {"values": {"a": 0, "b": 1}})


def make_model(backbone: inarch.Backbone | None = None, pooling: str = "pooled") -> Model:
    torch.manual_seed(0)
    backbone = backbone or Vectors("none", 4, 8, 2, 0.5, True, 0.0, False, 0)
    return Model(backbone, Classifier(TARGETS, 8, 0.0, "none", None, 0.0, pooling))


def test_a_linear_probe_leaves_parameters_and_buffers_of_the_backbone_as_they_were(
    toy_recipe: Path, tmp_path: Path
) -> None:
    weights = {name: tensor + 0.1 for name, tensor in make_model().backbone.state_dict().items()}
    weights = {name: tensor.long() if "num_batches" in name else tensor for name, tensor in weights.items()}
    save_file(weights, tmp_path / "weights.safetensors")
    options = {"strategy": "linear_probe", "backbone.norm": True, "backbone.dropout": 0.5,
               "backbone.weights": str(tmp_path / "weights.safetensors")}  # fmt: skip
    inarch.train(toy_recipe, options, out=tmp_path / "run")
    state = load_file(tmp_path / "run" / "model" / "model.safetensors")
    kept = {name.removeprefix("backbone."): value for name, value in state.items() if name.startswith("backbone.")}
    assert fingerprint(kept) == fingerprint(weights)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    [phase] = results["frozen"]
    assert phase["before"] == phase["after"] == fingerprint(weights)
    assert results["parameters"]["trained"] == 8 * 2 + 2


def test_training_mode_does_not_reach_frozen_layers() -> None:
    model = make_model()
    model.freeze([0])
    model.train()
    first, second = model.backbone.blocks
    assert not any(module.training for module in first.modules())
    assert all(module.training for module in second.modules())
    assert model.head.training


def test_exactly_the_frozen_layers_have_no_gradient_and_their_buffers_count_as_frozen() -> None:
    model = make_model()
    frozen = model.freeze([0])
    assert {name for name, p in model.backbone.named_parameters() if not p.requires_grad} == {
        name for name, _ in model.backbone.named_parameters() if name.startswith("blocks.0.")
    }
    assert set(frozen) == {name for name in model.backbone.state_dict() if name.startswith("blocks.0.")}
    assert "blocks.0.1.running_mean" in frozen
    assert model.freeze([]) == {}
    assert all(parameter.requires_grad for parameter in model.backbone.parameters())


def test_norms_that_stand_still_keep_their_statistics_while_their_gains_learn() -> None:
    model = make_model()
    frozen = model.freeze([], still_norms=True)
    assert frozen and all("running_" in name or "num_batches" in name for name in frozen)
    assert all(parameter.requires_grad for parameter in model.backbone.parameters())
    before, model = fingerprint(frozen), model.train()
    model({"vector": torch.randn(8, 4)}).sum().backward()
    assert fingerprint(frozen) == before
    assert model.backbone.blocks[0][1].weight.grad is not None and model.backbone.blocks[0][3].training


def test_beside_what_is_trained_norms_stand_still_and_dropout_stays_on() -> None:
    model = make_model()
    model.backbone.blocks[1][1] = nn.BatchNorm1d(8, affine=False)  # no parameter, and still a memory
    trained = "blocks.1.0.weight"
    frozen = model.freeze([0], frozenset({trained, "blocks.0.0.weight"}))  # a frozen layer stays frozen
    assert {name for name, p in model.backbone.named_parameters() if p.requires_grad} == {trained}
    assert set(frozen) == set(model.backbone.state_dict()) - {trained}
    before, model = fingerprint(frozen), model.train()
    assert model.backbone.blocks[1][3].training and not model.backbone.blocks[0][3].training  # the dropouts
    model({"vector": torch.randn(8, 4)})
    assert fingerprint(frozen) == before


class Writes(Vectors):
    """A backbone that counts in a buffer, frozen or not."""

    def forward(self, vector: torch.Tensor) -> inarch.Features:
        self.blocks[0][1].num_batches_tracked += 1
        return super().forward(vector)


def test_a_backbone_that_writes_to_frozen_buffers_is_an_error(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inarch_toy.backbone.Vectors", Writes)
    with pytest.raises(inarch.RunError, match="phase linear_probe: frozen parameters or buffers changed"):
        inarch.train(toy_recipe, {"strategy": "linear_probe", "backbone.norm": True}, out=tmp_path / "run")


def test_layers_that_leave_a_parameter_out_or_name_it_twice_are_an_error() -> None:
    class Forgetful(Vectors):
        def layers(self) -> list[list[str]]:
            return super().layers()[1:]

    class Repeating(Vectors):
        def layers(self) -> list[list[str]]:
            return [*super().layers(), ["blocks.0.0.weight"]]

    for kind in (Forgetful, Repeating):
        with pytest.raises(inarch.PluginError, match=r"must name every parameter once; wrong: blocks\.0\.0"):
            check_layers(kind("none", 4, 8, 2, 0.0, False, 0.0, False, 0))


def test_a_head_that_needs_what_the_backbone_does_not_provide_is_an_error() -> None:
    class Pooled(Vectors):
        provides = frozenset({"pooled"})

    with pytest.raises(inarch.RecipeError, match="the head needs tokens, the backbone provides pooled"):
        make_model(Pooled("none", 4, 8, 2, 0.0, False, 0.0, False, 0), pooling="mean")


def test_parameters_are_counted_all_and_trainable() -> None:
    model = make_model()
    total = sum(parameter.numel() for parameter in model.parameters())
    assert count_parameters(model) == (total, total)
    model.freeze([0, 1])
    assert count_parameters(model) == (total, 8 * 2 + 2)


def test_a_model_maps_a_batch_to_outputs() -> None:
    batch: Batch = {"vector": torch.zeros(3, 4)}
    assert make_model()(batch).shape == (3, 2)


@pytest.mark.parametrize("widths", [(3, 3), (2, 4, 3), (0, 2), None])
def test_outputs_are_collected_part_by_part_and_zeros_fill_up_their_units(widths: tuple[int, ...] | None) -> None:
    sizes = range(1, 1 + len(widths or (1, 1)))
    shapes = [
        (size,) if widths is None else (size, width, 2) for size, width in zip(sizes, widths or (1, 1), strict=True)
    ]
    parts = [torch.rand(shape) for shape in shapes]
    rows = [row for part in parts for row in part]
    expected = torch.stack(rows) if widths is None else pad_sequence(rows, batch_first=True)
    assert collect(iter(parts), sum(sizes)).equal(expected)
    named = [{"one": part, "flag": part > 0.5} for part in parts]
    found = collect(iter(named), sum(sizes))
    assert found["one"].equal(expected)
    assert found["flag"].dtype is torch.bool
    assert found["flag"].equal(expected > 0.5)
