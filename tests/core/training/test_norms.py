"""Batch norms over several processes and micro-batches: synchronised where the device can, told where it cannot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from group import fork_group
from torch import nn

import inarch as door
from inarch import recipe
from inarch.interfaces.strategy import Phase
from inarch.model import Model
from inarch.training.norms import moving_norms, synchronise, tell_norms
from inarch.workflows.check import check
from inarch.workflows.start import build_model, phases

CPU, GPU = torch.device("cpu"), torch.device("cuda")
NORMS = ["backbone.blocks.0.1", "backbone.blocks.1.1"]


def planned(path: Path, **changes: Any) -> tuple[Model, list[Phase]]:
    """The toy model with batch norms, and the phases of its recipe."""
    checked = check(recipe.load(path, {"backbone.norm": True, **changes}))
    model = build_model(checked)
    return model, phases(checked, model)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("full", NORMS),
        ("linear_probe", []),
        ("lora", []),
        ({"name": "lp_ft", "still_norms": True}, []),
        ({"name": "lp_ft", "still_norms": False}, NORMS),
    ],
)
def test_batch_norms_that_no_phase_trains_do_not_count(strategy: Any, expected: list[str], toy_recipe: Path) -> None:
    model, found = planned(toy_recipe, strategy=strategy)
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert moving_norms(model, found) == expected
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == trained
    assert model.frozen == []


def test_on_a_gpu_the_statistics_of_all_processes_are_put_together_under_the_same_names(toy_recipe: Path) -> None:
    model, found = planned(toy_recipe)
    before, vectors = model.state_dict(), torch.randn(5, 4)
    expected = model.eval()({"vector": vectors})
    assert synchronise(model, moving_norms(model, found), GPU, 2) == ["synchronised batch norms"]
    assert [name for name, part in model.named_modules() if isinstance(part, nn.SyncBatchNorm)] == NORMS
    assert list(model.state_dict()) == list(before)
    assert torch.equal(model.eval()({"vector": vectors}), expected)


@pytest.mark.parametrize(("device", "processes"), [(CPU, 2), (GPU, 1)])
def test_where_there_is_nothing_to_synchronise_the_model_stays(
    device: torch.device, processes: int, toy_recipe: Path
) -> None:
    model, found = planned(toy_recipe)
    assert synchronise(model, moving_norms(model, found), device, processes) == []
    assert not any(isinstance(part, nn.SyncBatchNorm) for part in model.modules())


def test_micro_batches_are_normalised_by_themselves_also_in_one_process(toy_recipe: Path) -> None:
    model, found = planned(toy_recipe)
    train = recipe.load(toy_recipe, {"train.micro_batch_size": 3}).train
    (told,) = tell_norms(model, moving_norms(model, found), train, 40, 1, False)
    assert told.startswith("2 batch norms (backbone.blocks.0.1, ...): ")
    assert told.endswith("each micro-batch, 3 of 8 examples, is normalised by itself")


@pytest.mark.parametrize(("length", "processes", "alone"), [(40, 2, False), (42, 2, True), (42, 1, False)])
def test_a_step_in_which_a_process_has_one_example_is_foretold(
    length: int, processes: int, alone: bool, toy_recipe: Path
) -> None:
    model, found = planned(toy_recipe)
    told = tell_norms(model, moving_norms(model, found), recipe.load(toy_recipe).train, length, processes, False)
    assert any("has one example at once" in line for line in told) == alone


def test_a_run_of_several_processes_says_what_its_batch_norms_see(toy_recipe: Path, tmp_path: Path) -> None:
    fork_group(door.train, 2, toy_recipe, {"backbone.norm": True, "splits.examples": 40}, tmp_path / "run")
    (note,) = json.loads((tmp_path / "run" / "results.json").read_text())["notes"]["train"]
    assert "each of 2 processes normalises by its own part of a batch, 4 of 8 examples" in note
    assert note.endswith("they are synchronised on GPUs alone")


def test_check_says_how_processes_share_a_batch(toy_recipe: Path, inarch: Callable[..., Any]) -> None:
    found = inarch("check", toy_recipe, "backbone.norm=true", "train.micro_batch_size=2", "--processes", 3)
    assert found.returncode == 0, found.stderr
    told = found.stdout.splitlines()
    assert "3 processes: a step has 8 examples, 3 + 2 + 3" in told
    last = "3 processes: the last one of an epoch has 2 examples, 1 + 0 + 1; who has none repeats an example that does "
    assert last + "not count" in told
    assert "each process computes its part in 2 micro-batches of at most 2" in told
    assert any("each of 3 processes normalises by its own part of a batch, 3 of 8 examples" in line for line in told)
    assert told[-1] == "Recipe, data and model hold."
