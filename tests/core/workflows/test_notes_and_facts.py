"""What people should know of a run's data and backbone: said, kept in results.json and environment.json, shown."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from conftest import Inarch
from marked import TASKS

import inarch
from inarch.training.progress import Progress


class Listen(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def test_inputs_that_were_cut_are_told_of_every_split_and_kept(letters: Path, tmp_path: Path) -> None:
    listen = Listen()
    inarch.train(letters, {"backbone.longest": 9}, out=tmp_path / "run", progress=listen)
    notes = read(tmp_path / "run", "results.json")["notes"]
    assert set(notes) == {"data", "train", "valid", "test"}
    for split in ("train", "valid", "test"):
        [note] = notes[split]
        assert note.endswith("are cut") and f"{split}: {note}" in listen.said


def test_the_longest_of_train_is_settled_and_nothing_of_it_is_cut(letters: Path, tmp_path: Path) -> None:
    inarch.train(letters, out=tmp_path / "run")
    assert read(tmp_path / "run", "results.json")["notes"]["train"] == []
    settled = read(tmp_path / "run" / "model", "bundle.json")["backbone"]["options"]["longest"]
    assert settled in range(20, 31)
    assert f"longest: {settled}" in (tmp_path / "run" / "recipe.yaml").read_text()


def test_notes_stand_on_the_console_and_facts_of_the_backbone_in_the_environment(
    inarch: Inarch, letters: Path, tmp_path: Path
) -> None:
    done = inarch("train", letters, "backbone.longest=9", "--out", "run")
    assert done.returncode == 0, done.stderr
    notes = read(tmp_path / "run", "results.json")["notes"]
    told = " ".join((done.stdout + done.stderr).split())
    assert all(f"{split}: {notes[split][0]}" in told for split in ("train", "valid", "test"))
    assert read(tmp_path / "run", "environment.json")["backbone"] == {"letters": 27}


@pytest.mark.parametrize("task", ["segments", "span"])
def test_targets_of_which_nothing_is_seen_are_told(marked: Path, tmp_path: Path, task: str) -> None:
    """A mean over nothing is no number: train then has nothing to learn, and valid no loss."""
    lines = [json.loads(line) for line in (tmp_path / "marked.jsonl").read_text().splitlines()]
    moved = {"start": 40, "end": 43, "label": "x"}
    for line in lines:
        line |= {"text": line["text"][:30].ljust(40) + "xxx", "answer": moved, "segments": [moved]}
    (tmp_path / "marked.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = {**TASKS[task], "backbone.longest": 30}
    if task == "segments":  # all units that are seen are outside: that is something to learn
        result = inarch.train(marked, options, out=tmp_path / "run")
        assert result.metrics["starts"].value == 0
    else:
        with pytest.raises(inarch.RunError, match="no target of train counts"):
            inarch.train(marked, options, out=tmp_path / "run")


def test_a_split_of_which_no_target_is_seen_has_figures_but_no_loss(marked: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (tmp_path / "marked.jsonl").read_text().splitlines()]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    moved = {"start": 40, "end": 43, "label": "x"}
    for line in lines:
        line |= {"text": line["text"][:30].ljust(40) + "xxx", "answer": moved}
    for name in ("valid", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:9]))
    paths = {name: str(tmp_path / f"{name}.jsonl") for name in ("train", "valid", "test")}
    options = {**TASKS["span"], "backbone.longest": 30, "dataset.path": paths}
    result = inarch.train(marked, options, out=tmp_path / "run")
    assert result.metrics["starts"].value == 0 and result.best_step == 16  # no loss is the best: the last weights stand
    assert math.isnan(read(tmp_path / "run", "results.json")["loss"])
