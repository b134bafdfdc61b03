"""`inarch replay`: a step that was not finite, taken again from its capsule alone, and what it tells of the cause."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from conftest import RECIPE, write_vectors
from safetensors.torch import load_file, save_file

import inarch
from inarch.checkpoint import written_atomically
from inarch.cli import replay
from inarch.training import step, stepper
from inarch.workflows.replay import replay as take_again

ALL = {"splits.test": 0, "splits.valid": 0, "train.workers": 0}
RANDOM = {**ALL, "backbone.dropout": 0.3, "train.micro_batch_size": 3, "train.batch_size": 16}
DIVERGING = {**RANDOM, "train.clip": None, "train.optimizer": "sgd", "train.schedule": "constant"}
NUMBERS = {"dataset.target": "number", "head": "regressor", "metrics": ["mae"]}

VECTORS = {"name": "vectors", "plugin": "inarch-toy", "version": "1.0"}

CAUSES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a row": (
        {**RANDOM, "dataset.path": "bad.csv"},
        ["not finite from the inputs on", "1 of 16 not finite alone: ", "bad.csv, line 8", "look at vector of"],
    ),
    "a row that spoils the gradient alone": (
        {**RANDOM, "dataset.path": "single.csv"},
        ["gradient norm nan then, nan now", "loss 0.", "backbone.blocks.0.0.weight", "1 of 16 not finite alone: "],
    ),
    "a row in a batch norm, which needs two": (
        {**RANDOM, "dataset.path": "bad.csv", "backbone.norm": True},
        ["not finite alone, but together: ", "bad.csv, line 8", "look at vector of"],
    ),
    "a learning rate": (
        {**DIVERGING, "train.learning_rate": 1e30},
        ["not finite: backbone.blocks", "lower train.learning_rate", "not tried one by one"],
    ),
    "a head's loss": (
        {**DIVERGING, **NUMBERS, "train.learning_rate": 1e21},
        ["loss inf then, inf now", "the loss of the head 'regressor'", "each of them is not finite", "have grown to"],
    ),
    "half precision": (
        {**DIVERGING, **NUMBERS, "train.learning_rate": 1e5, "train.precision": "fp16"},
        ["fp16", "backbone.blocks.1.0 (Linear)", "in fp32 finite", "train.precision=fp32 makes the step finite"],
    ),
    "adapters": (
        {**RANDOM, "dataset.path": "bad.csv", "strategy": {"name": "lora", "dropout": 0.2}},
        ["phase lora", "the first gradient that is not finite: head.linear.bias", "bad.csv, line 8"],
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, one good and two with a bad row, and a recipe."""
    folder = tmp_path_factory.mktemp("replay")
    lines = write_vectors(folder / "vectors.csv").read_text().splitlines()
    for name, value in (("bad", "1e39 -1e39"), ("single", f"1e39 {lines[7].split(' ')[1]}")):
        row = " ".join([value, *lines[7].split(" ")[2:]])
        (folder / f"{name}.csv").write_text("\n".join([*lines[:7], row, *lines[8:]]))
    (folder / "toy.yaml").write_text(RECIPE.format(path=folder / "vectors.csv"))
    return folder


@pytest.fixture
def stopped(folder: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Train until a step is not finite; return the run, whose data is gone."""

    def train(changes: dict[str, Any]) -> Path:
        data = tmp_path / "data"
        shutil.copytree(folder, data)
        path = data / changes.get("dataset.path", "vectors.csv")
        with pytest.raises(inarch.RunError, match="Look at it with: inarch replay"):
            inarch.train(data / "toy.yaml", {**changes, "dataset.path": str(path)}, out=tmp_path / "run")
        shutil.rmtree(data)
        return tmp_path / "run"

    return train


@pytest.fixture
def after_four_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the fifth step for one that is not finite: its figures are numbers, and can be compared bit by bit."""
    for module in (step, stepper):  # before weights change, and after
        steps = iter(range(100))
        monkeypatch.setattr(module, "is_finite", lambda *_, steps=steps: torch.tensor(next(steps) != 4))


def replayed(*arguments: object) -> Result:
    return CliRunner().invoke(replay.command, [str(argument) for argument in arguments], catch_exceptions=False)


def figures(run: Path) -> tuple[int, dict[str, Any]]:
    ended = replayed(run, "--json")
    return ended.exit_code, json.loads(ended.stdout)


@pytest.mark.parametrize(
    "changes",
    [
        RANDOM,
        {**RANDOM, "backbone.norm": True, "train.clip": None},
        {**RANDOM, "strategy": {"name": "lora", "dropout": 0.2}},
        {**RANDOM, "train.precision": "bf16"},
        {**RANDOM, "train.precision": "fp16"},
        {**RANDOM, "backbone.noise": 0.1, "head.class_weights": "balanced", "strategy": "lp_ft", "train.epochs": 3},
    ],
    ids=["plain", "batch norm", "adapters", "bf16", "fp16", "phases"],
)
@pytest.mark.usefixtures("after_four_steps")
def test_a_step_is_taken_again_bit_for_bit(stopped: Callable[..., Path], changes: dict[str, Any]) -> None:
    code, found = figures(stopped(changes))
    assert code == 0 and found["reproduced"] is True
    assert found["step"] in (5, 6) and found["examples"] in (12, 16)  # a fitted head is a step
    assert found["then"]["loss"] == found["now"]["loss"] > 0
    assert found["then"]["gradient_norm"] == found["now"]["gradient_norm"] > 0
    assert found["causes"]["alone"] == found["causes"]["together"] == found["causes"]["advice"] == []


@pytest.mark.usefixtures("after_four_steps")
def test_other_weights_are_not_the_step_again(stopped: Callable[..., Path]) -> None:
    capsule = stopped(RANDOM) / "capsules" / "step-00000005"
    weights = load_file(capsule / "model.safetensors")
    weights["head.linear.bias"][0] += 1e-6
    files = {path.name: path.read_bytes() for path in capsule.iterdir() if path.name != "manifest.json"}
    with written_atomically(capsule) as aside:
        for name, content in files.items():
            (aside / name).write_bytes(content)
        save_file(weights, aside / "model.safetensors")
    ended = replayed(capsule)
    assert ended.exit_code == 1
    assert "reproduced     NO" in ended.output


@pytest.mark.usefixtures("after_four_steps")
def test_what_a_capsule_cannot_hold_is_told(stopped: Callable[..., Path]) -> None:
    found = take_again(stopped({**RANDOM, "strategy": "l2_sp", "train.epochs": 3}))
    assert found.then.loss == found.now.loss
    assert "Not repeated: the pull to where the weights began" in found.notes
    assert found.then.gradient_norm != found.now.gradient_norm and not found.reproduced


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_found_with_neither_data_nor_network(
    stopped: Callable[..., Path], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, expected = CAUSES[cause]
    run = stopped(changes)
    monkeypatch.setattr(socket, "socket", None)
    ended = replayed(run)
    told = " ".join(ended.output.split())
    assert ended.exit_code == 0, ended.output
    assert "reproduced yes, bit for bit" in told
    assert [text for text in expected if text not in told] == [], ended.output


def test_of_a_run_the_newest_capsule_is_replayed(stopped: Callable[..., Path]) -> None:
    run = stopped({**RANDOM, "dataset.path": "bad.csv"})
    [first] = (run / "capsules").iterdir()
    shutil.copytree(first, run / "capsules" / "step-00000000")
    _, found = figures(run)
    assert found["directory"] == str(first) and found["then"]["loss"] == "nan"
    assert found == figures(first)[1] == figures(run / "capsules")[1]


def test_what_is_no_capsule_or_a_damaged_one_is_an_error(
    stopped: Callable[..., Path], tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert "no capsule here; expected a folder such as" in refused("replay", tmp_path / "empty", light=False)
    run = stopped({**RANDOM, "dataset.path": "bad.csv"})
    [capsule] = (run / "capsules").iterdir()
    for damage, reason in (
        (lambda: (capsule / "extra.txt").write_text("?"), "manifest.json does not list extra.txt"),
        (lambda: (capsule / "batch-0.safetensors").unlink(), "batch-0.safetensors is missing"),
        (lambda: (capsule / "recipe.yaml").write_text("name: other"), "instead of"),
    ):
        whole = {path: path.read_bytes() for path in capsule.iterdir()}
        damage()
        with pytest.raises(inarch.RunError, match=f"the capsule is damaged and is not used.*{reason}"):
            replayed(run)
        shutil.rmtree(capsule)
        capsule.mkdir()
        for path, content in whole.items():
            path.write_bytes(content)
    assert replayed(run).exit_code == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "capsule format 2, this inarch reads 1"),
        ({"step": "?"}, "capsule.json: step: expected a whole number"),
        ({"processes": None}, "capsule.json: processes"),
        ({"trained": ["head.other"]}, "no parameter 'head.other'"),
        ({"still": ["head.other"]}, "cannot be taken again"),
        ({"model": {}}, "cannot be taken again"),
        ({"model": {"backbone": {"name": "nobody", "options": {}, "plugin": "other", "version": "3"}}}, "nobody"),
        ({"micro_batch_size": 0}, "cannot be taken again"),
        ({"model": {"backbone": {**VECTORS, "options": {"width": 10**6}}}}, "far more than model.safetensors holds"),
    ],
)
def test_a_strangers_capsule_gives_an_error_and_no_traceback(
    stopped: Callable[..., Path], change: dict[str, Any], reason: str
) -> None:
    [capsule] = (stopped({**RANDOM, "dataset.path": "bad.csv"}) / "capsules").iterdir()
    told = json.loads((capsule / "capsule.json").read_text())
    files = {path.name: path.read_bytes() for path in capsule.iterdir() if path.name != "manifest.json"}
    with written_atomically(capsule) as aside:
        for name, content in files.items():
            (aside / name).write_bytes(content)
        (aside / "capsule.json").write_text(json.dumps({**told, **change}))
    with pytest.raises(inarch.InarchError, match=reason):
        replayed(capsule)
