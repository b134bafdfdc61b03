"""Texts in which words are marked, for every head that reads texts by their length or tells places in them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from conftest import RECIPE


def write_marked(folder: Path, rows: int = 60, seed: int = 0) -> Path:
    """Write a recipe over texts of 2 to 7 words, of which those of x and of z are to be found; see `TASKS`."""
    random = np.random.default_rng(seed)
    written = [json.dumps(_marked(random)) for _ in range(rows)]
    (folder / "marked.jsonl").write_text("\n".join(written) + "\n", encoding="utf-8")
    path = folder / "marked.yaml"
    text = RECIPE.replace("vectors", "letters").replace("toy", "marked").format(path=folder / "marked.jsonl")
    path.write_text(text, encoding="utf-8")
    return path


def _marked(random: np.random.Generator) -> dict[str, Any]:
    """One text and its words, what is marked in them in three forms, and a second text with how alike it is."""
    words = ["".join(random.choice(list("abcdefgh"), random.integers(1, 6))) for _ in range(random.integers(1, 7))]
    label, twice = random.choice(["x", "z"]), int(random.integers(1, 3))
    at = int(random.integers(0, len(words) + 1))
    words[at:at] = [label * int(random.integers(1, 5)) for _ in range(twice)]
    start = sum(len(word) + 1 for word in words[:at])
    tags = ["O"] * len(words)
    tags[at : at + twice] = [f"B-{label}", f"I-{label}"][:twice]
    found = {"start": start, "end": start + len(" ".join(words[at : at + twice])), "label": str(label)}
    other = str(random.choice(["x", "z"]))
    return {"text": " ".join(words), "words": words, "segments": [found], "tags": tags, "answer": found,
            "kind": str(label), "other": other * 5, "likeness": (other == label) + random.random() / 10}  # fmt: skip


TASKS: dict[str, dict[str, Any]] = {
    "segments": {"dataset.input": "text", "dataset.target": "segments", "head": "tagger", "metrics": ["starts"]},
    "tags": {"dataset.input": "words", "dataset.target": "tags", "head": "tagger", "metrics": ["starts"]},
    "span": {"dataset.input": "text", "dataset.target": "answer", "head": "span", "metrics": ["starts"]},
    "classes": {"dataset.input": "text", "dataset.target": "kind", "head": "embedder", "metrics": ["accuracy"]},
    "pairs": {"dataset.input": ["text", "other"], "dataset.target": "likeness", "head": "embedder",
              "metrics": ["spearman"]},
}  # fmt: skip
"""What of the texts of `write_marked` may be trained: changes to its recipe."""
