"""A tiny Whisper teaches a tiny wav2vec 2.0, which hears recordings as they are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audio.test_runs import tones

import inarch


def test_a_student_of_another_family_comes_closer_to_its_teacher(
    recipe: Callable[..., Path], network: Callable[[str], Path], tmp_path: Path
) -> None:
    dataset: dict[str, Any] = tones(tmp_path / "tones", count=8)
    teacher = inarch.train(recipe(dataset), out=tmp_path / "teacher").directory
    strategy = {"name": "distill", "teacher": str(teacher), "logits": 1.0, "features": 0.2}
    backbone = {"name": "transformers_audio", "model": str(network("wav2vec2")), "duration": 1.0}
    student = inarch.train(recipe(dataset, epochs=12, strategy=strategy, backbone=backbone), out=tmp_path / "student")
    lines = (student.directory / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["train"]["loss"] for line in lines]
    assert losses[-1] < 0.5 * losses[0] and student.parity < 1e-4
