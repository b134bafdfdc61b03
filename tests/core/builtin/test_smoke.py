"""A strategy that at its defaults is worse than a linear probe, on a task that transfer helps with, is a defect.

The task: handwritten digits of scikit-learn, ten of each for training. The backbone has learnt from 900 others.
"""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

import inarch
from inarch import plugins

APART = {
    "auto": "it trains several of the others, and takes one of them",
    "distill": "it needs a teacher",
    "scratch": "it does without transfer, and is the control",
}
OWN = sorted(name for name, entry in plugins.loaded().components["strategies"].items() if entry.plugin == "core")
QUICKLY = {"train.learning_rate": 0.01, "train.epochs": 5, "train.batch_size": 32}
TOLERANCE = 2  # standard errors of the difference over the same test examples

EVERYTHING = {"full", "l2_sp", "scratch", "soup"}
"""Strategies of a single phase that freezes nothing."""

Run = Callable[[str], Path]


def write(path: Path, rows: range) -> str:
    images, digits = load_digits(return_X_y=True)
    lines = [f"{' '.join(f'{value / 16:g}' for value in images[row])},d{digits[row]}" for row in rows]
    path.write_text("\n".join(["vector,class", *lines]), encoding="utf-8")
    return str(path)


def train(folder: Path, data: str, strategy: str, weights: str, **changed: object) -> Path:
    recipe = {
        "dataset": {"name": "table", "path": data, "input": "vector", "target": "class"},
        "backbone": {"name": "vectors", "size": 64, "width": 32, "depth": 3, "norm": True, "weights": weights},
        "head": "classifier",
        "strategy": strategy,
        "metrics": ["accuracy"],
        "train": {"epochs": 12, "batch_size": 8, "workers": 0, "precision": "fp32"},
    }
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    return inarch.train(folder / "recipe.json", changed, out=folder / "run").directory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the directory of a strategy's run, trained once: ``run("full")``."""
    folder = tmp_path_factory.mktemp("digits")
    others = write(folder / "others.csv", range(900))
    before = train(folder / "before", others, "full", "none", **QUICKLY)
    state = load_file(before / "model" / "model.safetensors")
    learnt = {name.removeprefix("backbone."): part for name, part in state.items() if name.startswith("backbone.")}
    save_file(learnt, folder / "learnt.safetensors")
    data, splits = write(folder / "digits.csv", range(900, 1797)), {"splits.per_class": 10, "splits.test": 0.6}
    return cache(lambda name: train(folder / name, data, name, str(folder / "learnt.safetensors"), **splits))


def right(run: Path) -> np.ndarray:
    """Which examples of test a run gets right, 1 or 0 each."""
    lines = map(json.loads, (run / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines())
    return np.array([line["class"] == line["target"] for line in lines], dtype=float)


def better(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """By how much one accuracy exceeds another, and the standard error of that."""
    difference = one - other
    return difference.mean(), difference.std(ddof=1) / math.sqrt(len(difference))


def test_every_strategy_of_the_core_is_measured_or_apart_for_a_reason() -> None:
    assert APART.keys() <= set(OWN)
    assert len(OWN) - len(APART) >= 10


def test_the_task_is_one_that_transfer_helps_with_and_that_is_not_trivial(run: Run) -> None:
    probe = right(run("linear_probe"))
    gain, error = better(probe, right(run("scratch")))
    assert gain > max(0.05, 4 * error)
    assert 0.8 < probe.mean() < 0.97


@pytest.mark.parametrize("strategy", [name for name in OWN if name not in (*APART, "linear_probe")])
def test_a_strategy_is_no_worse_than_the_linear_probe(run: Run, strategy: str) -> None:
    loss, error = better(right(run("linear_probe")), right(run(strategy)))
    assert loss <= TOLERANCE * error


@pytest.mark.parametrize("strategy", [name for name in OWN if name not in APART])
def test_each_phase_reports_what_is_frozen_with_the_same_hash_before_and_after(run: Run, strategy: str) -> None:
    results = json.loads((run(strategy) / "results.json").read_text(encoding="utf-8"))
    assert results["parity"] < 1e-6
    assert all(phase["before"] == phase["after"] for phase in results["frozen"])
    assert (results["frozen"][0]["before"] is None) == (strategy in EVERYTHING)
    lines = map(json.loads, (run(strategy) / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert list(dict.fromkeys(line["phase"] for line in lines)) == [phase["phase"] for phase in results["frozen"]]
