"""Promise 1, exact resume: killed anywhere and resumed, a run ends with the same bits."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TOY
from cuts import ending, keep_all
from group import forked
from marked import TASKS

import inarch
from inarch import recipe
from inarch.builtin.unfreezing import ProbeThenTune
from inarch.checkpoint import step_directory
from inarch.data.order import epoch_batches
from inarch.training.progress import Progress
from inarch.workflows.check import check

# Everything that has a memory: dropout, noise, mixing, batch norm, momentum, an average, a schedule.
STATEFUL = {
    "backbone.dropout": 0.2,
    "backbone.noise": 0.1,
    "backbone.mixup": True,
    "backbone.norm": True,
    "train.ema": 0.9,
    "train.optimizer": "sgd",
    "train.epochs": 4,
    "train.checkpoint_every": 1,
}


def wait_for_a_checkpoint(run: Path, ended: Callable[[], int | None]) -> None:
    """Wait until a run has taken a step, is over, or a minute has passed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and ended() is None and not list((run / "checkpoints").glob("step-*")):
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_again_and_again_ends_with_the_same_bits(toy_recipe: Path, tmp_path: Path, workers: int) -> None:
    options = {**STATEFUL, "train.workers": workers}
    inarch.train(toy_recipe, options, out=tmp_path / "whole")
    delays, kills = random.Random(workers), 0
    while kills < 4:
        process = forked().Process(target=inarch.train, args=(toy_recipe, options, tmp_path / "killed", True))
        process.start()
        wait_for_a_checkpoint(tmp_path / "killed", lambda process=process: process.exitcode)
        time.sleep(delays.uniform(0, 0.15))
        if not process.is_alive():
            break
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        kills += 1
    assert kills, "the run was over before it could be killed"
    inarch.train(toy_recipe, options, out=tmp_path / "killed", resume=True)
    assert ending(tmp_path / "killed") == ending(tmp_path / "whole")


@pytest.mark.parametrize("step", [1, 6, 7, 23, 24])
def test_a_run_resumed_from_any_step_ends_with_the_same_bits(toy_recipe: Path, tmp_path: Path, step: int) -> None:
    options = {**STATEFUL, "train.evaluate_every": 100}  # only checkpoints of single steps are left
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    checkpoints = keep_all(whole, toy_recipe, options)
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoints")
    shutil.copytree(step_directory(checkpoints, step), step_directory(cut / "checkpoints", step))
    inarch.train(toy_recipe, options, out=cut, resume=True)
    assert ending(cut) == ending(whole)


@pytest.mark.parametrize(("task", "step"), [("classes", 8), ("segments", 3), ("pairs", 10)])
def test_a_run_over_lengths_cut_within_an_epoch_ends_with_the_same_bits(
    marked: Path, tmp_path: Path, task: str, step: int
) -> None:
    """Batches of similar length, partners and the share of padding begin again where they were."""
    options = {**TASKS[task], "train.checkpoint_every": 1, "train.epochs": 3}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    checkpoints = keep_all(whole, marked, options)
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoints")
    for kept in sorted(checkpoints.iterdir()):
        if kept.name <= step_directory(checkpoints, step).name:
            shutil.copytree(kept, cut / "checkpoints" / kept.name)
    inarch.train(marked, options, out=cut, resume=True)
    assert ending(cut) == ending(whole)
    padding = [json.loads(line)["train"]["padding"] for line in (cut / "metrics.jsonl").read_text().splitlines()]
    assert len(padding) == 3 and all(0 < share < 0.5 for share in padding)


def test_the_share_of_padding_is_that_of_the_batches(letters: Path, tmp_path: Path) -> None:
    inarch.train(letters, out=tmp_path / "run")
    checked = check(recipe.load(letters))
    texts = checked.dataset.splits["train"].column("text")
    lengths = np.array([len(text) for text in texts])
    for epoch, line in enumerate((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()):
        batches = [lengths[batch] for batch in epoch_batches(len(texts), 8, 0, epoch, lengths)]
        padded = sum(len(batch) * batch.max() for batch in batches)
        assert json.loads(line)["train"]["padding"] == pytest.approx(1 - lengths.sum() / padded)


def test_vectors_have_no_padding_to_tell(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, {"train.epochs": 1}, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text())["train"].keys() == {"loss"}


def test_an_interrupted_run_exits_with_130_and_can_be_resumed(toy_recipe: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inarch", "train", str(toy_recipe), "--out", "run"]
    endless = ["train.epochs=2000", "train.checkpoint_every=1"]
    environment = {**os.environ, "PYTHONPATH": str(TOY)}
    with subprocess.Popen([*command, *endless], cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        wait_for_a_checkpoint(tmp_path / "run", process.poll)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"--resume" in told and b"Traceback" not in told


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no manifest", "missing file"])
def test_a_broken_newest_checkpoint_falls_back_to_the_one_before_and_says_so(
    toy_recipe: Path, tmp_path: Path, damage: str
) -> None:
    inarch.train(toy_recipe, STATEFUL, out=tmp_path / "run")
    before = ending(tmp_path / "run")
    newest = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]
    break_it(newest, damage)
    told: list[str] = []

    class Listen(Progress):
        def say(self, text: str) -> None:
            told.append(text)

    inarch.train(toy_recipe, STATEFUL, out=tmp_path / "run", resume=True, progress=Listen())
    assert any(f"{newest} is broken and was passed over" in text for text in told)
    assert any("resuming from" in text and newest.name not in text for text in told)
    assert ending(tmp_path / "run") == before


def break_it(directory: Path, damage: str) -> None:
    weights = directory / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-5])
    elif damage == "flipped":
        content = bytearray(weights.read_bytes())
        content[-3] ^= 1
        weights.write_bytes(content)
    else:
        (weights if damage == "missing file" else directory / "manifest.json").unlink()


def test_resuming_with_another_number_of_processes_is_an_error(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inarch.training import state

    inarch.train(toy_recipe, out=tmp_path / "run")
    monkeypatch.setattr(state, "processes", lambda directory: 3)
    with pytest.raises(inarch.RunError, match=r"written by 3 process.*--processes 3"):
        inarch.train(toy_recipe, out=tmp_path / "run", resume=True)


def test_a_run_is_not_resumed_where_a_plugin_makes_other_phases_now(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"strategy": "lp_ft", "train.epochs": 2}
    inarch.train(toy_recipe, changes, out=tmp_path / "run")
    made = ProbeThenTune.phases
    monkeypatch.setattr(ProbeThenTune, "phases", lambda self, backbone, train: made(self, backbone, train)[1:])
    with pytest.raises(inarch.RunError, match=r"began with the phases .* makes .* now: a plugin has changed"):
        inarch.train(toy_recipe, changes, out=tmp_path / "run", resume=True)
