"""A step without a finite gradient leaves a capsule that holds all it depended on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from group import run_group
from safetensors.torch import load_file

import inarch
from inarch.checkpoint import problem
from inarch.training import capsule as capsules
from inarch.training.progress import Progress
from inarch.workflows.replay import replay

DIVERGING = {"train.learning_rate": 1e30, "train.clip": None, "train.optimizer": "sgd"}


class Said(Progress):
    """Keeps the sentences of a run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def spoil(table: Path, rows: list[int], value: str = "1e39") -> None:
    """Put a number that no float32 holds, or `value`, into rows of a table, counted from 1."""
    lines = table.read_text().splitlines()
    for row in rows:
        lines[row] = f"{value} {lines[row].partition(' ')[2]}"
    table.write_text("\n".join(lines))


def stopped(recipe: Path, out: Path, changes: dict[str, Any]) -> Path:
    """Train until a step is not finite; return the capsule."""
    with pytest.raises(inarch.RunError, match="Look at it with: inarch replay"):
        inarch.train(recipe, changes, out=out)
    [capsule] = (out / "capsules").iterdir()
    return capsule


def test_a_capsule_names_the_examples_and_holds_weights_batch_random_state_and_recipe(
    toy_recipe: Path, tmp_path: Path, vectors: Path
) -> None:
    spoil(vectors, [7])
    capsule = stopped(toy_recipe, tmp_path / "run", {"splits.test": 0, "splits.valid": 0, "train.batch_size": 60})
    told = json.loads((capsule / "capsule.json").read_text())
    assert problem(capsule) is None
    assert capsule.name == "step-00000001" and told["step"] == 1
    [share] = told["processes"]
    assert sorted(share["rows"]) == list(range(60))
    assert share["places"][share["rows"].index(6)] == f"{vectors}, line 8"
    batch = load_file(capsule / "batch-0.safetensors")
    assert batch["batch.vector"].shape == (60, 4) and batch["batch.vector"][share["rows"].index(6), 0] == float("inf")
    assert batch["targets"].shape == (60,)
    assert set(share["random"]) == {"python", "numpy", "torch"}
    assert (capsule / "recipe.yaml").read_bytes() == (tmp_path / "run" / "recipe.yaml").read_bytes()


def test_the_weights_of_a_capsule_are_those_before_the_step(toy_recipe: Path, tmp_path: Path, vectors: Path) -> None:
    changes = {"train.checkpoint_every": 1, "backbone.norm": True, "train.workers": 0, "splits.valid": 0,
               "splits.test": 0}  # fmt: skip
    spoil(vectors, [7])
    capsule = stopped(toy_recipe, tmp_path / "run", changes)
    step = int(capsule.name.removeprefix("step-"))
    before = load_file(tmp_path / "run" / "checkpoints" / f"step-{step - 1:08d}" / "model.safetensors")
    kept = load_file(capsule / "model.safetensors")
    assert step > 1 and before.keys() == kept.keys()
    assert any("running_mean" in name for name in kept)
    used = [name for name in kept if not name.endswith("num_batches_tracked")]  # a counter that nothing reads
    assert all(torch.equal(before[name], kept[name]) for name in used)


def test_a_run_keeps_its_first_three_capsules_and_counts_every_step_that_it_left_out(
    toy_recipe: Path, tmp_path: Path, vectors: Path
) -> None:
    spoil(vectors, [3, 12, 21, 30, 39])
    changes = {
        "splits.valid": 0,
        "splits.test": 0,
        "train.batch_size": 4,
        "train.epochs": 1,
        "dataset.path": str(vectors),
    }
    said = Said()
    inarch.train(toy_recipe, {**changes, "train.non_finite": "skip"}, out=tmp_path / "run", progress=said)
    state = json.loads(next((tmp_path / "run" / "checkpoints").glob("step-*/state.json")).read_text())["state"]
    left_out = state["left_out"]
    kept = sorted(path.name for path in (tmp_path / "run" / "capsules").iterdir())
    assert 3 < len(left_out) <= 5
    assert kept == [f"step-{step:08d}" for step in left_out[:3]]
    assert sum("inarch replay" in line for line in said.lines) == 3
    assert sum("is left out" in line for line in said.lines) == len(left_out)


def test_a_capsule_that_cannot_be_written_does_not_hide_why_the_run_stopped(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, in the midst of a file."""

    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(capsules, "save_file", full)
    said = Said()
    with pytest.raises(inarch.RunError, match=r"has a loss of \S+ and a gradient of norm nan") as stopped:
        inarch.train(toy_recipe, DIVERGING, out=tmp_path / "run", progress=said)
    assert "replay" not in str(stopped.value)
    assert any("no capsule" in line and "No space left on device" in line for line in said.lines)
    assert list((tmp_path / "run" / "capsules").iterdir()) == []


def test_each_of_two_processes_puts_its_part_into_a_capsule_that_one_takes_again_bit_for_bit(
    toy_recipe: Path, tmp_path: Path
) -> None:
    changes = {"backbone.dropout": 0.3, "train.micro_batch_size": 3, "train.batch_size": 9}
    script = Path(__file__).parent / "group_capsule.py"
    run_group(script, 2, toy_recipe, tmp_path / "run", json.dumps(changes), timeout=300)
    [capsule] = (tmp_path / "run" / "capsules").iterdir()
    told = json.loads((capsule / "capsule.json").read_text())
    parts = [set(share["rows"]) for share in told["processes"]]
    assert sorted(map(len, parts)) == [4, 5] and not parts[0] & parts[1]
    assert told["processes"][0]["random"] != told["processes"][1]["random"]
    found = replay(capsule)
    assert found.processes == 2 and found.examples == 9
    assert found.then.loss == found.now.loss > 0
    assert found.then.gradient_norm == found.now.gradient_norm > 0
    assert found.reproduced
    assert "The parts of 2 processes were taken one after the other" in found.notes
