"""Every task over texts that are prepared, padded and of different lengths is learnt, from a recipe to its figures."""

from pathlib import Path

import pytest
from marked import TASKS

import inarch

LEAST = {"segments": 0.5, "tags": 0.5, "span": 0.5, "classes": 0.9, "pairs": 0.4}
"""Of the metric; untrained heads are at about 0, 0, 0.1, 0.5, 0."""


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_learnt(marked: Path, tmp_path: Path, task: str) -> None:
    result = inarch.train(
        marked, {**TASKS[task], "train.epochs": 10, "train.learning_rate": 0.05}, out=tmp_path / "run"
    )
    [(_, estimate)] = result.metrics.items()
    assert estimate.value >= LEAST[task] and estimate.low <= estimate.value <= estimate.high
    assert result.parity < 1e-5


@pytest.mark.parametrize("merge", [True, False])
def test_adapters_of_convolutions_are_trained_over_lengths(marked: Path, tmp_path: Path, merge: bool) -> None:
    options = {**TASKS["span"], "strategy": {"name": "lora", "rank": 2, "merge": merge}, "train.learning_rate": 0.05}
    result = inarch.train(marked, {**options, "train.epochs": 10}, out=tmp_path / "run")
    assert result.metrics["starts"].value >= 0.3 and result.parity < 1e-5
    assert inarch.load(tmp_path / "run").predict(["abc xxx de"])[0]["text"]
