"""Steps whose loss or gradient is not finite, out of memory in a group, and what a step reads from the device."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from group import fork_group
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

import inarch
from inarch.checkpoint import file_hash
from inarch.training import stepper
from inarch.training.progress import Progress
from inarch.training.step import Later
from inarch.training.stepper import Stepper
from inarch.workflows.train import train

Inarch = Any


class Listen(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def poisoned(toy_recipe: Path, vectors: Path) -> Path:
    """A recipe with one example that no network stands; it takes part in one step an epoch."""
    header, first, *rest = vectors.read_text().splitlines()
    bad = f"1e39 -1e39 1e39 1,{first.split(',', 1)[1]},train"
    lines = [f"{line},{'train' if number < 40 else 'valid'}" for number, line in enumerate(rest)]
    vectors.write_text("\n".join([f"{header},split", bad, *lines]) + "\n")
    toy_recipe.write_text(toy_recipe.read_text().replace("input: vector", "input: vector, split: split"))
    return toy_recipe


def weights(run: Path) -> str:
    return file_hash(run / "model" / "model.safetensors")


def test_a_step_that_is_not_finite_stops_the_run_with_a_capsule(poisoned: Path, tmp_path: Path) -> None:
    with pytest.raises(inarch.RunError, match=r"loss of nan.*no weight was changed.*inarch replay.*non_finite=skip"):
        inarch.train(poisoned, out=tmp_path / "run")
    [capsule] = (tmp_path / "run" / "capsules").iterdir()
    assert (capsule / "capsule.json").is_file()


def test_a_step_that_is_not_finite_is_left_out_and_counted_where_the_recipe_says_so(
    poisoned: Path, tmp_path: Path
) -> None:
    listen, options = Listen(), {"train.non_finite": "skip", "backbone.norm": True, "train.ema": 0.9}
    inarch.train(poisoned, options, out=tmp_path / "run", progress=listen)
    told = [text for text in listen.said if "is left out" in text]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert len(told) == len(results["left_out_steps"]) == 2  # once an epoch
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "run/model/model.safetensors").values())
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_a_run_that_stopped_goes_on_without_such_steps(poisoned: Path, tmp_path: Path) -> None:
    skip = {"train.non_finite": "skip"}
    inarch.train(poisoned, skip, out=tmp_path / "whole")
    with pytest.raises(inarch.RunError, match="no weight was changed"):
        inarch.train(poisoned, out=tmp_path / "stopped")
    inarch.train(poisoned, skip, out=tmp_path / "stopped", resume=True)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")


def test_a_training_without_a_finite_gradient_gives_up(toy_recipe: Path, tmp_path: Path) -> None:
    absurd = {"train.learning_rate": 1e30, "train.clip": None, "train.optimizer": "sgd", "train.epochs": 4}
    with pytest.raises(inarch.RunError, match="10 steps in a row had no finite gradient"):
        inarch.train(toy_recipe, {**absurd, "train.non_finite": "skip"}, out=tmp_path / "run")


class Reads(TorchDispatchMode):
    """Counts how often a number is read from a tensor, which on an accelerator waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        return function(*arguments, **(options or {}))


class Late(Later):
    """What a GPU does on a CPU: numbers are there when the next step has begun."""

    def read(self, numbers: torch.Tensor) -> torch.Tensor | None:
        before, self.before = self.before, (numbers.clone(), None)  # type: ignore[assignment]
        return before and before[0]

    def rest(self) -> torch.Tensor | None:
        before, self.before = self.before, None
        return before and before[0]


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps learn of their numbers as late as on a GPU."""
    begin = Stepper.__init__

    def begin_late(self: Stepper, *given: Any) -> None:
        begin(self, *given)
        self.later, self.halted = Late(), torch.zeros((), dtype=torch.bool)

    monkeypatch.setattr(Stepper, "__init__", begin_late)


@pytest.mark.parametrize("options", [{}, {"backbone.norm": True, "train.optimizer": "sgd"}])
def test_a_step_never_waits_for_the_device(
    toy_recipe: Path, tmp_path: Path, late: None, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, optimize, read = [], stepper.optimize, Stepper._read

    def counted(*given: Any) -> torch.Tensor:
        with Reads() as reads:
            numbers = optimize(*given)
        found.append(reads.count)
        return numbers

    def counted_too(self: Stepper, numbers: torch.Tensor) -> bool:
        with Reads() as reads:
            finite = read(self, numbers)
        assert reads.count  # of numbers that have come to the CPU; and the counter works
        return finite

    monkeypatch.setattr(stepper, "optimize", counted)
    monkeypatch.setattr(Stepper, "_read", counted_too)
    inarch.train(toy_recipe, options, out=tmp_path / "run")
    assert found == [0] * 12


def test_steps_that_learn_of_their_numbers_late_are_the_same_steps(
    toy_recipe: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    inarch.train(toy_recipe, out=tmp_path / "at once")
    request.getfixturevalue("late")
    inarch.train(toy_recipe, out=tmp_path / "late")
    assert weights(tmp_path / "late") == weights(tmp_path / "at once")


def test_no_weight_changes_after_a_step_that_was_not_finite_even_if_that_is_known_late(
    poisoned: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for name in ("at once", "late"):
        if name == "late":
            request.getfixturevalue("late")
        with pytest.raises(inarch.RunError, match="no weight was changed"):
            inarch.train(poisoned, out=tmp_path / name)
    found = [next((tmp_path / name / "capsules").iterdir()) for name in ("at once", "late")]
    one, other = (load_file(capsule / "model.safetensors") for capsule in found)
    assert found[0].name == found[1].name
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_batch_norm_with_a_single_example_is_an_error_that_says_what_to_change(
    toy_recipe: Path, tmp_path: Path
) -> None:
    with pytest.raises(inarch.RunError, match=r"a batch norm got one example alone.*micro_batch_size"):
        inarch.train(toy_recipe, {"backbone.norm": True, "train.micro_batch_size": 1}, out=tmp_path / "run")


@pytest.mark.slow
def test_two_processes_that_run_out_of_memory_begin_again_with_smaller_micro_batches(
    toy_recipe: Path, inarch: Inarch, tmp_path: Path
) -> None:
    short = ["backbone.memory=3", "train.epochs=1"]
    told = inarch("train", toy_recipe, *short, "--out", "short", "--processes", 2)
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("out of memory: going on with micro-batches of 2") == 1
    fork_group(train, 2, toy_recipe, {"train.epochs": 1, "train.micro_batch_size": 2}, tmp_path / "cut")
    assert weights(tmp_path / "short") == weights(tmp_path / "cut")
