"""The typed state of a run."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch

import inarch
from inarch.training import state
from inarch.training.state import RunState


@pytest.fixture
def directory(toy_recipe: Path, tmp_path: Path) -> Path:
    """The last checkpoint of a run."""
    inarch.train(toy_recipe, {"train.epochs": 1}, out=tmp_path / "run")
    return sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]


def test_a_state_without_one_of_its_fields_is_an_error_that_names_it(directory: Path) -> None:
    path = directory / "state.json"
    whole = json.loads(path.read_text())
    for field in fields(RunState):
        rest = {name: value for name, value in whole["state"].items() if name != field.name}
        path.write_text(json.dumps({**whole, "state": rest}))
        with pytest.raises(inarch.RunError, match=f"the field '{field.name}' is missing"):
            state.read(directory)


def test_a_state_with_an_unknown_field_is_an_error_that_names_it(directory: Path) -> None:
    path = directory / "state.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "state": {**whole["state"], "tomorrow": 1}}))
    with pytest.raises(inarch.RunError, match="the field 'tomorrow' is unknown"):
        state.read(directory)


@pytest.mark.parametrize("part", ["state", "random"])
def test_a_checkpoint_without_one_of_its_parts_is_an_error_that_names_it(directory: Path, part: str) -> None:
    path = directory / "state.json"
    rest = {name: value for name, value in json.loads(path.read_text()).items() if name != part}
    path.write_text(json.dumps(rest))
    with pytest.raises(inarch.RunError, match=f"the part '{part}' is missing"):
        state.read(directory) if part == "state" else state.processes(directory)


@pytest.mark.parametrize("name", ["python", "numpy", "torch"])
def test_a_missing_random_state_is_an_error_that_names_it(directory: Path, name: str) -> None:
    path = directory / "state.json"
    whole = json.loads(path.read_text())
    del whole["random"][0][name]
    path.write_text(json.dumps(whole))
    with pytest.raises(inarch.RunError, match=f"'{name}' is missing"):
        state.restore_random(directory, 0, torch.device("cpu"))
