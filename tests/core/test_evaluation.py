"""Promise 3, exact metrics: every example counts once, for any number of processes, batch size and length."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from group import run_group

import inarch
from inarch import plugins
from inarch.builtin.targets import read_classes
from inarch.plugins import Plugin

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        from group_evaluation import evaluations, evaluations_by_length

        folder = tmp_path_factory.mktemp("alone")
        evaluations(Accelerator(cpu=True), folder)
        evaluations_by_length(Accelerator(cpu=True), folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.parametrize("processes", [2, 3])
def test_predictions_and_figures_are_the_same_bytes_for_any_number_of_processes(
    alone: Path, tmp_path: Path, processes: int
) -> None:
    run_group(HERE / "group_evaluation.py", processes, tmp_path)
    assert len(contents(alone)) == 19 * 6 + 1 + 2 * 3 * 3 * 2 + 1
    assert contents(tmp_path) == contents(alone)


def test_every_row_is_predicted_once_or_reported_as_skipped(alone: Path) -> None:
    figures = json.loads((alone / "figures.json").read_text())
    for name, (_, _, skipped) in figures.items():
        length = int(name.split("-")[0])
        rows = [json.loads(line)["row"] for line in (alone / f"{name}.jsonl").read_text().splitlines()]
        assert rows == [row for row in range(length) if row != 4]
        assert len(skipped) == (length > 4)


def test_accuracy_is_the_share_of_right_predictions_whatever_the_batch_size(alone: Path) -> None:
    figures = json.loads((alone / "figures.json").read_text())
    for name, (_, accuracy, _) in figures.items():
        lines = [json.loads(line) for line in (alone / f"{name}.jsonl").read_text().splitlines()]
        assert accuracy == pytest.approx(sum(line["class"] == line["target"] for line in lines) / len(lines))


@pytest.mark.parametrize("form", ["segments", "tags"])
@pytest.mark.parametrize("length", [1, 4, 13])
def test_rows_evaluated_by_length_come_in_their_order_whatever_the_batch_size(
    alone: Path, form: str, length: int
) -> None:
    figures, seen = json.loads((alone / "texts.json").read_text()), []
    for batch_size in (1, 3, 8):
        written = alone / f"{form}-{length}-{batch_size}" / "predictions" / "test.jsonl"
        lines = [json.loads(line) for line in written.read_text().splitlines()]
        assert [line["row"] for line in lines] == [row for row in range(length) if row != 4]
        for line in lines:
            text = line["input"] if form == "segments" else " ".join(line["input"])
            assert len(line["tags"]) == len(line["input"])
            assert all(found["text"] == text[found["start"] : found["end"]] for found in line["segments"])
        seen.append([(line["tags"], [(s["start"], s["end"], s["label"]) for s in line["segments"]]) for line in lines])
        loss, starts, skipped = figures[f"{form}-{length}-{batch_size}"]
        assert loss == pytest.approx(figures[f"{form}-{length}-8"][0], rel=1e-6)
        assert skipped == (["row 4: expected text, found " + ("''" if form == "segments" else "[]")] * (length > 4))
        right = [begins(line, form) for line in lines]
        assert starts["value"] == pytest.approx(sum(right) / len(right))
    assert seen[0] == seen[1] == seen[2]


def begins(line: dict[str, Any], form: str) -> bool:
    """Whether a line's segments begin where its target says: at 0, or at the units whose tags begin with B."""
    if form == "segments":
        return [segment["start"] for segment in line["segments"]] == [0]
    return [tag[0] == "B" for tag in line["tags"]] == [tag[0] == "B" for tag in line["target"]]


class Scored(inarch.Head):
    """Answers with several tensors, and is measured by the scores of one of them."""

    needs = frozenset({"pooled"})

    def __init__(self, targets: inarch.Targets, num_features: int) -> None:
        super().__init__()
        self.classes, self.linear = targets.classes, torch.nn.Linear(num_features, len(targets.classes))

    def encode(self, targets: Sequence[Any]) -> torch.Tensor:
        return torch.tensor([self.classes.index(target) for target in targets])

    def forward(self, features: inarch.Features) -> dict[str, torch.Tensor]:
        return {"logits": self.linear(features.pooled), "vectors": features.pooled}

    def loss(self, outputs: Any, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = torch.nn.functional.cross_entropy(outputs["logits"], targets, reduction="sum")
        return total, torch.tensor(len(targets))

    def scores(self, outputs: Any) -> torch.Tensor:
        return outputs["logits"].softmax(-1)

    def predict(self, outputs: Any) -> list[dict[str, Any]]:
        best = outputs["logits"].argmax(-1).tolist()
        return [
            {"class": self.classes[index], "first": vector[0]}
            for index, vector in zip(best, outputs["vectors"].tolist(), strict=True)
        ]


def build_scored(targets: inarch.Targets, num_features: int) -> inarch.Head:
    """Build it."""
    return Scored(targets, num_features)


@inarch.hookimpl
def register_heads(register: inarch.Register) -> None:
    register("scored", build_scored, read=read_classes)


def test_a_head_of_several_outputs_may_have_scores(toy_recipe: Path, tmp_path: Path) -> None:
    plugins.loaded().add(Plugin("scoring", "tests", "scoring", "1"), SimpleNamespace(register_heads=register_heads))
    try:
        result = inarch.train(toy_recipe, {"head": "scored"}, out=tmp_path / "run")
        found = inarch.load(tmp_path / "run").predict([line["input"] for line in lines_of(result)])
    finally:
        plugins.loaded().remove("scoring")
    right = [line["class"] == line["target"] for line in lines_of(result)]
    assert result.metrics["accuracy"].value == pytest.approx(sum(right) / len(right))
    assert [one["first"] for one in found] == pytest.approx([line["first"] for line in lines_of(result)], abs=1e-5)


def lines_of(result: Any) -> list[dict[str, Any]]:
    lines = (result.directory / "predictions" / f"{result.split}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_split_of_which_nothing_can_be_read_is_an_error(toy_recipe: Path, tmp_path: Path, vectors: Path) -> None:
    broken = tmp_path / "test.csv"
    broken.write_text("vector,class\n1 2,warm\n3,cold\n")
    options = {"dataset.name": "table", "dataset.path": {"train": str(vectors), "test": str(broken)},
               "on_error": "skip", "error_limit": 1.0}  # fmt: skip
    with pytest.raises(inarch.DataError, match="no example of the split could be read"):
        inarch.train(toy_recipe, options, out=tmp_path / "run")
