"""`inarch train`, in processes of its own: one, several, and under accelerate's launcher."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import TOY, Inarch


def figures(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def launch(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Start accelerate's launcher by hand, as a person would."""
    command = [sys.executable, "-m", "accelerate.commands.launch", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(TOY), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.fixture
def alone(inarch: Inarch, toy_recipe: Path, tmp_path: Path) -> Path:
    """A run by one process."""
    ended = inarch("train", toy_recipe, "--out", "alone")
    assert ended.returncode == 0, ended.stderr
    return tmp_path / "alone"


def test_two_processes_train_to_the_figures_of_one(
    inarch: Inarch, toy_recipe: Path, tmp_path: Path, alone: Path
) -> None:
    ended = inarch("train", toy_recipe, "--processes", 2, "--out", "two")
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["processes"] == 2
    for one, two in zip(figures(alone), figures(tmp_path / "two"), strict=True):
        assert one["step"] == two["step"]
        for split in ("train", "valid"):
            assert two[split] == pytest.approx(one[split], rel=1e-6)
    assert ended.stdout.count("accuracy") == 1  # one process tells

    again = inarch("train", toy_recipe, "--processes=2", "--out", "two")  # refused by the processes, not by the parent
    assert again.returncode == 2
    assert again.stderr.startswith("Error: ") and again.stderr.count("\n") == 1
    assert "two already holds this run" in again.stderr


def test_two_processes_train_over_lengths_and_partners_on_the_batches_of_one(
    inarch: Inarch, marked: Path, tmp_path: Path
) -> None:
    marked.write_text(marked.read_text().replace("vector, target: class", "text, target: kind")
                      .replace("classifier", "embedder"))  # fmt: skip
    for processes in (1, 2):
        ended = inarch("train", marked, "train.micro_batch_size=3", "--processes", processes, "--out", processes)
        assert ended.returncode == 0, ended.stderr
    for one, two in zip(figures(tmp_path / "1"), figures(tmp_path / "2"), strict=True):
        assert two["train"]["loss"] == pytest.approx(one["train"]["loss"], rel=1e-6)
        assert two["valid"] == pytest.approx(one["valid"], rel=1e-5)
        assert 0 < two["train"]["padding"] < one["train"]["padding"]  # each pads its own share


def test_accelerates_own_launcher_works_with_one_and_with_two_processes(toy_recipe: Path, tmp_path: Path) -> None:
    for name, options in (("one", []), ("two", ["--multi_gpu", "--num_processes", "2"])):
        ended = launch(tmp_path, *options, "-m", "inarch", "train", toy_recipe, "train.epochs=1", "--out", name)
        assert ended.returncode == 0, ended.stderr
    assert figures(tmp_path / "one")[0]["valid"] == pytest.approx(figures(tmp_path / "two")[0]["valid"], rel=1e-6)


def test_a_launcher_that_started_fewer_processes_than_it_was_asked_for_is_an_error(
    toy_recipe: Path, tmp_path: Path
) -> None:
    ended = launch(tmp_path, "--cpu", "--num_processes", "2", "-m", "inarch", "train", toy_recipe, "--out", "run")
    assert "Error: the launcher was asked for several processes and started 1" in ended.stderr
    assert "returned non-zero exit status 2" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_no_processes_at_all_is_an_error(inarch: Inarch, toy_recipe: Path) -> None:
    ended = inarch("train", toy_recipe, "--processes", 0)
    assert ended.returncode == 2 and ended.stderr.startswith("Error: ") and "Traceback" not in ended.stderr


def test_the_final_table_names_the_split_the_bundle_and_the_report(inarch: Inarch, toy_recipe: Path) -> None:
    ended = inarch("train", toy_recipe, "train.epochs=1", "--out", "run")
    assert "test metrics, weights of step 6" in ended.stdout
    assert "Bundle: run/model. Report: run/report.html" in ended.stdout
    assert "train: 42 examples (cold" in ended.stderr and "epoch 1: train loss" in ended.stderr
