"""Heads measured by their predictions, from a file of words or questions to metrics with intervals."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import inarch

RECIPE = """\
dataset: {dataset}
backbone: {{name: transformers, model: {model}, weights: none}}
head: {head}
strategy: scratch
metrics: {metrics}
splits: {{valid: 0.2, test: 0.2}}
train: {{epochs: 2, batch_size: 8, learning_rate: 0.01, workers: 0, precision: fp32}}
"""


@pytest.fixture
def trained(tmp_path: Path, tiny: Callable[[str], Path]) -> Callable[..., tuple[Any, list[dict[str, Any]]]]:
    """Train a recipe; return its result and what was predicted of test."""

    def train(dataset: str, head: str, metrics: str) -> tuple[Any, list[dict[str, Any]]]:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(RECIPE.format(dataset=dataset, head=head, metrics=metrics, model=tiny("bert")))
        result = inarch.train(recipe, out=tmp_path / "run")
        lines = (tmp_path / "run" / "predictions" / "test.jsonl").read_text().splitlines()
        return result, [json.loads(line) for line in lines]

    return train


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_a_column_file_is_tagged_and_segments_come_back_with_their_text(
    scheme: str, tmp_path: Path, trained: Callable[..., Any]
) -> None:
    sentence = "the O\ngood B-x\nfilm I-x\n\n"
    (tmp_path / "train.txt").write_text("".join(sentence.replace("the", "ab"[n % 2] * (n % 5 + 1)) for n in range(40)))
    head = f"{{name: tagger, scheme: {scheme}}}"
    result, predicted = trained(f"{{name: conll, path: {tmp_path / 'train.txt'}}}", head, "[entity_f1, token_accuracy]")
    assert result.metrics["token_accuracy"].value > 0.6 and result.metrics["entity_f1"].low is not None
    for line in predicted:
        assert len(line["tags"]) == len(line["target"]) == 3
        text = " ".join(line["input"])
        assert all(found["text"] == text[found["start"] : found["end"]] for found in line["segments"])


def test_questions_are_answered_from_their_context(tmp_path: Path, trained: Callable[..., Any]) -> None:
    rows = []
    for number in range(40):
        context = f"{'the ' * (number % 4)}film {number} is good"
        answer = {"text": ["good"], "answer_start": [context.index("good")]}
        rows.append(json.dumps({"question": "what is it?", "context": context, "answers": answer}) + "\n")
    (tmp_path / "squad.jsonl").write_text("".join(rows))
    data = f"{{name: table, path: {tmp_path / 'squad.jsonl'}, input: [question, context], target: answers}}"
    result, predicted = trained(data, "span", "[exact_match, answer_f1]")
    assert result.metrics["answer_f1"].value >= result.metrics["exact_match"].value
    for line in predicted:
        assert line["text"] and line["text"] in line["input"]["context"]
