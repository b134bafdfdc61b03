"""The typed state of a run."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file

import inarch
from inarch.training import state
from inarch.training.generators import Generators, put_back_plain
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


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every entry of plain data, within others too; of numbers one after the other, the first and the last."""
    entries = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    if isinstance(value, list) and not any(isinstance(entry, dict | list) for entry in value):
        entries = [*entries[:1], *entries[1:][-1:]]
    for key, entry in entries:
        yield (*path, key)
        if isinstance(entry, dict | list):
            yield from places(entry, (*path, key))


def changed(document: Any, path: tuple[Any, ...], how: str) -> Any:
    copied = copy.deepcopy(document)
    inner = reduce(getitem, path[:-1], copied)
    if how == "deleted":
        del inner[path[-1]]
    else:
        inner[path[-1]] = 7 if isinstance(inner[path[-1]], str | list | dict | None) else "seven"
    return copied


class Made(NamedTuple):
    """What a checkpoint is restored into."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    average: torch.nn.Module
    scaler: torch.GradScaler


def make(optimizer: str) -> Made:
    """A convolution and a batch norm, in channels-last; SGD, or AdamW with two groups, and a scaler that is in use."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.Flatten())
    model.to(memory_format=torch.channels_last)
    if optimizer == "sgd":
        made: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, fused=True)
    else:
        groups = [{"params": list(part.parameters()), "peak": 0.1} for part in list(model)[:2]]
        made = torch.optim.AdamW(groups, 0.1, fused=True)
    return Made(model, made, copy.deepcopy(model), torch.GradScaler("cpu", init_scale=8.0))


def step(made: Made, number: int) -> None:
    random = torch.Generator().manual_seed(number)
    made.scaler.scale(made.model(torch.randn(5, 4, 7, 7, generator=random)).square().mean()).backward()
    made.scaler.step(made.optimizer)
    made.scaler.update()
    made.optimizer.zero_grad()


def written(folder: Path, optimizer: str) -> tuple[Path, Made]:
    """A checkpoint after two steps in which every field of the state has something in it."""
    made = make(optimizer)
    for number in range(2):
        step(made, number)
    filled = RunState(
        1, 2, 3, 4, 5, 0.5, 2.0, 3.0, 4.0, 2, 0.25, 4, [(0.25, 4)], [2], 0.25, 1, True, True, [3],
        [{"step": 4, "epoch": 1.0, "phase": "full", "train": {"loss": 0.5}, "valid": {"loss": 0.25, "f1": None}}],
        ["row 3: no"], [{"phase": "head", "before": "a", "after": "a"}, {"phase": "all", "before": "b", "after": None}],
        "abc",
    )  # fmt: skip
    states = [Generators.now(torch.device("cpu")).plain() for _ in range(2)]
    folder.mkdir()
    state.save(folder, filled, *made, states)
    return folder, made


def load(folder: Path, optimizer: str) -> Made:
    """Put back everything that is in a checkpoint."""
    made, process = make(optimizer), state.processes(folder) - 1
    state.read(folder)
    state.restore(folder, *made)
    state.restore_random(folder, process, torch.device("cpu"))
    state.restore_random(folder, 0, torch.device("cpu"))
    return made


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_checkpoint_goes_on_as_if_nothing_had_been_written(tmp_path: Path, optimizer: str) -> None:
    """In channels-last too, where the moments must lie in memory as their weights do."""
    folder, alone = written(tmp_path / "checkpoint", optimizer)
    again = load(folder, optimizer)
    for number in range(2, 5):
        for made in (alone, again):
            step(made, number)
    assert all(map(torch.equal, alone.model.state_dict().values(), again.model.state_dict().values()))


@pytest.mark.parametrize("how", ["deleted", "of another type"])
def test_every_entry_of_the_state_that_is_not_as_it_was_is_an_error_that_names_it(tmp_path: Path, how: str) -> None:
    folder, _ = written(tmp_path / "checkpoint", "adamw")
    path = folder / "state.json"
    whole = json.loads(path.read_text())
    tried = list(places(whole))
    assert len(tried) > 150 and {entry[0] for entry in tried} == {"state", "optimizer", "scaler", "random", "sha256"}
    for entry in tried:
        path.write_text(json.dumps(changed(whole, entry, how)))
        with pytest.raises(inarch.RunError) as told:
            load(folder, "adamw")
        depths = range(1 if len(entry) == 1 else 2, 4)
        names = [entry[1]] if entry[0] == "sha256" and entry[1:] else [".".join(map(str, entry[:n])) for n in depths]
        names += ["random.1"] if entry == ("random", 0) else []  # the second process is then the first
        found = [re.search(f"'{re.escape(name.removeprefix('state.'))}['.]", str(told.value)) for name in names]
        assert any(found), (entry, told.value)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_an_older_version_did_not_write_is_an_error_that_names_it(tmp_path: Path, optimizer: str) -> None:
    """An entry is gone, and its hash with it."""
    folder, _ = written(tmp_path / "checkpoint", optimizer)
    path = folder / "state.json"
    whole = json.loads(path.read_text())
    groups = [("optimizer", "groups", 0, key) for key in whole["optimizer"]["groups"][0]]
    generators = [("random", process, key) for process in range(2) for key in whole["random"][process]]
    tensors = [("optimizer", "tensors", key) for key in whole["optimizer"]["tensors"]]
    plain = [(part, key) for part in ("state", "optimizer", "scaler") for key in whole[part]]
    for entry in [*plain, *groups, *generators, *tensors]:
        less = changed(whole, entry, "deleted")
        less["sha256"] = {place: state._hash(value) for part in whole if part != "sha256"
                          for place, value in state._places(part, less[part])}  # fmt: skip
        path.write_text(json.dumps(less))
        with pytest.raises(inarch.RunError, match=f"{re.escape(str(entry[-1]))}' is|{entry[-1]} is"):
            load(folder, optimizer)


@pytest.mark.parametrize("how", ["deleted", "of another shape", "of another type", "unknown"])
@pytest.mark.parametrize("name", ["model", "average", "optimizer"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_tensor_that_is_not_as_it_was_is_an_error_that_names_it(
    tmp_path: Path, optimizer: str, name: str, how: str
) -> None:
    folder, _ = written(tmp_path / "checkpoint", optimizer)
    path = folder / f"{name}.safetensors"
    whole = load_file(path)
    assert whole
    for key, tensor in whole.items():
        wrong = {
            "deleted": {},
            "of another shape": {key: torch.cat([tensor.flatten(), tensor.flatten()])},
            "of another type": {key: tensor.to(torch.int32)},
            "unknown": {key: tensor, f"{key}.more": tensor.clone()},
        }[how]
        save_file({**{other: value for other, value in whole.items() if other != key}, **wrong}, path)
        with pytest.raises(inarch.RunError, match=f"'{re.escape(key)}{'.more' if how == 'unknown' else ''}'"):
            load(folder, optimizer)


@pytest.mark.parametrize("name", ["model.safetensors", "average.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path, name: str, damage: str) -> None:
    folder, _ = written(tmp_path / "checkpoint", "adamw")
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage != "missing":
        (folder / name).write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(inarch.RunError, match=f"{name}: cannot be read"):
        load(folder, "adamw")


def test_a_checkpoint_of_another_optimizer_or_phase_is_refused(tmp_path: Path) -> None:
    """torch itself takes back whatever has as many groups."""
    folder, _ = written(tmp_path / "checkpoint", "adamw")
    with pytest.raises(inarch.RunError, match="2 groups of parameters there, 1 here"):
        load(folder, "sgd")
    other = make("adamw")
    other.optimizer.param_groups[1]["betas"] = (0.8, 0.9)
    with pytest.raises(inarch.RunError, match=r"groups\.1\.betas is \[0\.9, 0\.999\] there, \[0\.8, 0\.9\] here"):
        state.restore(folder, *other)
    with pytest.raises(inarch.RunError, match="averages no weights"):
        state.restore(folder, other.model, other.optimizer, None, other.scaler)


@pytest.mark.parametrize("name", ["python", "numpy", "torch"])
def test_a_random_state_that_generators_refuse_is_an_error_that_names_it(name: str) -> None:
    states = Generators.now(torch.device("cpu")).plain()
    for wrong in (7, [], "seven", states[name][:2]):
        with pytest.raises(inarch.RunError, match=f"'{name}' cannot be read"):
            put_back_plain({**states, name: wrong}, torch.device("cpu"), "here")
    with pytest.raises(inarch.RunError, match=f"'{name}' is missing"):
        put_back_plain({n: s for n, s in states.items() if n != name}, torch.device("cpu"), "here")
