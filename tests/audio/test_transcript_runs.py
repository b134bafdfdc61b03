"""Spelling, from a recipe to its bundle: the head `ctc` and its error rates over a small backbone with units."""

import json
import math
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RECIPE

import inarch


def write_spelt(folder: Path, rows: int = 90) -> Path:
    """Write texts of which each letter is there two or three times, and what they spell: no letter twice in a row."""
    random, lines = np.random.default_rng(0), []
    for _ in range(rows):
        words = ["".join(random.choice(list("abcdef"), random.integers(1, 4))) for _ in range(random.integers(1, 4))]
        text = "".join(letter for letter, _ in groupby(" ".join(words)))
        lines.append({"heard": "".join(letter * int(random.integers(2, 4)) for letter in text), "text": text})
    return write(folder / "spelt.jsonl", lines)


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe over 90 texts to spell."""
    written = RECIPE.replace("input: vector, target: class", "input: heard, target: text").replace("vectors", "letters")
    written = written.replace("classifier", "ctc").replace("[accuracy]", "[word_error_rate, character_error_rate]")
    path = tmp_path / "spelt.yaml"
    path.write_text(written.format(path=write_spelt(tmp_path)))
    return path


OPTIONS = {"train.epochs": 12, "train.learning_rate": 0.05, "backbone.width": 16}


@pytest.mark.parametrize(
    ("head", "most"), [({}, 0.05), ({"decoding": "beam", "beam_width": 4}, 0.05), ({"vocabulary": 30}, 0.9)]
)
def test_spelling_is_learnt_and_a_bundle_spells_alike(
    recipe: Path, tmp_path: Path, head: dict[str, Any], most: float
) -> None:
    result = inarch.train(recipe, {**OPTIONS, "head": {"name": "ctc", **head}}, out=tmp_path / "run")
    words, characters = result.metrics["word_error_rate"], result.metrics["character_error_rate"]
    assert words.value <= most and 0 <= characters.value <= words.value <= words.high and result.parity < 1e-5
    lines = read(tmp_path / "run" / "predictions" / "test.jsonl")
    found = inarch.load(tmp_path / "run").predict([line["input"] for line in lines], batch_size=3)
    assert [row["text"] for row in found] == [line["text"] for line in lines]
    assert [row["score"] for row in found] == pytest.approx([line["score"] for line in lines], abs=1e-5)
    assert all([s["label"] for s in row["segments"]] == row["text"].split() for row in found)
    assert all(one["end"] <= two["start"] for row in found for one, two in pairwise(row["segments"]))


def test_characters_outside_the_vocabulary_are_told_and_count_as_errors(recipe: Path, tmp_path: Path) -> None:
    rows = read(tmp_path / "spelt.jsonl")
    other = write(tmp_path / "test.jsonl", [{**row, "text": row["text"] + "!"} for row in rows[:9]])
    paths = {"train": str(tmp_path / "spelt.jsonl"), "test": str(other)}
    inarch.train(recipe, {"dataset.path": paths}, out=tmp_path / "run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    [note] = results["notes"]["data"]
    assert note.startswith("test: 9 characters in 9 of 9 transcripts cannot be predicted") and "line 1" in note
    assert math.isfinite(results["loss"])


def test_a_long_input_is_spelt_through_windows(recipe: Path, tmp_path: Path) -> None:
    options = {**OPTIONS, "backbone.prepared": False, "backbone.window": 40}
    inarch.train(recipe, options, out=tmp_path / "run")
    rows = read(tmp_path / "spelt.jsonl")[:30]
    heard, text = ("  ".join(row[name] for row in rows) for name in ("heard", "text"))
    opened = inarch.load(tmp_path / "run")
    [found] = opened.predict([heard])
    assert len(heard) > 10 * 40 and found["text"].split() == text.split()
    assert all(set(heard[word["start"] : word["end"]].strip()) <= set(word["label"]) for word in found["segments"])
    assert found["segments"][-1]["end"] > len(heard) - 40
