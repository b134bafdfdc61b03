"""A model of one family teaches another, which cuts texts into other tokens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import inarch

TEXTS = [("a good film", "good", 1.0), ("a bad one, and a long one", "bad", 0.0)]


@pytest.mark.parametrize(("head", "target"), [("classifier", "kind"), ("regressor", "number")])
def test_a_student_of_another_family_comes_closer_to_its_teacher(
    head: str, target: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    rows = [json.dumps({"text": f"{text} {number}", "kind": kind, "number": value + number / 50})
            for number in range(12) for text, kind, value in TEXTS]  # fmt: skip
    (tmp_path / "texts.jsonl").write_text("\n".join(rows))

    def train(name: str, family: str, epochs: int, strategy: Any) -> Path:
        recipe = {
            "dataset": {"name": "table", "path": str(tmp_path / "texts.jsonl"), "input": "text", "target": target},
            "backbone": {"name": "transformers", "model": str(tiny(family))},
            "head": head,
            "strategy": strategy,
            "metrics": ["accuracy" if head == "classifier" else "mae"],
            "train": {"epochs": epochs, "batch_size": 8, "learning_rate": 0.01, "workers": 0, "precision": "fp32"},
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(recipe))
        return inarch.train(tmp_path / f"{name}.json", out=tmp_path / name).directory

    teacher = train("teacher", "bert", 2, "full")
    strategy = {"name": "distill", "teacher": str(teacher), "logits": 1.0, "features": 0.2}
    student = train("student", "gpt2", 4, strategy)
    losses = [json.loads(line)["train"]["loss"] for line in (student / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
