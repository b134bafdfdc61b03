"""Promise 4 over inputs that have a length, places and several columns: a bundle serves what training evaluated."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from inarch_toy.spelling import LETTERS
from marked import TASKS, write_marked
from safetensors.torch import load_file

import inarch
from inarch import bundle
from inarch.training.progress import Progress


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Train a task once; return its run."""
    folder = tmp_path_factory.mktemp("texts")
    recipe = write_marked(folder)

    def train(task: str) -> Path:
        run = folder / task
        if not run.exists():
            inarch.train(recipe, {**TASKS[task], "train.epochs": 1}, out=run)
        return run

    return train


def lines_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]


def close(one: Any, other: Any) -> bool:
    """Whether two predictions are the same but for the last bits of their numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == pytest.approx(other, abs=1e-5) if isinstance(one, float) else one == other


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("batch_size", [2, 100])
def test_predictions_are_those_of_evaluation_in_the_order_of_the_inputs(
    trained: Callable[[str], Path], task: str, batch_size: int
) -> None:
    lines = lines_of(trained(task))
    found = inarch.load(trained(task)).predict([line["input"] for line in lines], batch_size)
    known = ("row", "place", "input", "target")
    assert len({len(str(line["input"])) for line in lines}) > 3
    for line, prediction in zip(lines, found, strict=True):
        assert close({name: value for name, value in line.items() if name not in known}, prediction)


@pytest.mark.parametrize("task", ["segments", "tags", "span"])
def test_what_is_found_carries_its_text(trained: Callable[[str], Path], task: str) -> None:
    lines = lines_of(trained(task))
    found = [place for line in lines for place in line.get("segments", [line] if "start" in line else [])]
    texts = {place["text"] for place in found}
    assert texts and "" not in texts
    for line in lines:
        text = line["input"] if isinstance(line["input"], str) else " ".join(line["input"])
        for place in line.get("segments", [line]):
            assert place["text"] == text[place["start"] : place["end"]]


def test_inputs_that_cannot_be_read_among_many_are_told_in_their_places(trained: Callable[[str], Path]) -> None:
    opened = inarch.load(trained("classes"))
    texts = ["abc" * (1 + index % 7) if index % 5 else "" for index in range(90)]
    found = list(opened.stream(iter(texts), batch_size=2, skip_unreadable=True))
    assert [raw for raw, _ in found] == texts
    for text, prediction in found:
        assert prediction == {"error": "expected text, found ''"} if not text else close(
            prediction, opened.predict([text])[0]
        )  # fmt: skip
    with pytest.raises(inarch.RunError, match="expected text, found ''"):
        opened.predict(texts)


def test_inputs_are_read_ahead_a_few_batches_and_no_more(trained: Callable[[str], Path]) -> None:
    taken: list[int] = []

    def endless() -> Any:
        while True:
            taken.append(1)
            yield "abc" * (1 + len(taken) % 5)

    stream = inarch.load(trained("classes")).stream(endless(), batch_size=2)
    for _ in range(33):
        next(stream)
    assert len(taken) == 64


def test_small_files_of_the_backbone_are_kept_and_given_back(trained: Callable[[str], Path]) -> None:
    kept = trained("classes") / "model" / "backbone"
    assert (kept / "letters.txt").read_text() == LETTERS
    assert inarch.load(trained("classes")).model.backbone.folder == str(kept)
    assert "files" not in json.loads((kept.parent / "bundle.json").read_text())["backbone"]["options"]


def test_a_bundle_whose_backbones_file_was_changed_is_refused(trained: Callable[[str], Path], tmp_path: Path) -> None:
    model = shutil.copytree(trained("classes") / "model", tmp_path / "model")
    (model / "backbone" / "letters.txt").write_text(LETTERS[::-1])
    with pytest.raises(inarch.RunError, match=r"not used: backbone/letters\.txt does not match its hash"):
        inarch.load(model)
    (model / "backbone" / "letters.txt").unlink()
    with pytest.raises(inarch.RunError, match=r"damaged and is not used: .*letters\.txt"):
        inarch.load(model)


@pytest.mark.parametrize("task", ["segments", "span"])
def test_outputs_of_several_names_are_compared_with_those_of_training(
    trained: Callable[[str], Path], task: str
) -> None:
    parity = json.loads((trained(task) / "model" / "bundle.json").read_text())["parity"]
    assert parity["examples"] == len(lines_of(trained(task))[:16]) and 0 <= parity["largest_difference"] < 1e-5
    assert isinstance(inarch.load(trained(task)).outputs(["abc"]), dict)


@pytest.mark.parametrize("wrong", ["shift", "nothing"])
def test_any_output_that_serves_otherwise_is_an_error(
    marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Also where it is not the first by name, and where it is not even a number."""
    original = bundle.Bundle.outputs

    def drifted(self: bundle.Bundle, inputs: Any) -> Any:
        outputs = original(self, inputs)
        return {**outputs, "places": outputs["places"] + (0.5 if wrong == "shift" else float("nan"))}

    monkeypatch.setattr(bundle.Bundle, "outputs", drifted)
    with pytest.raises(inarch.RunError, match="serving differs from training by"):
        inarch.train(marked, {**TASKS["segments"], "train.epochs": 1}, out=tmp_path / "run")


def test_weights_that_share_memory_are_kept_and_still_share_it(marked: Path, tmp_path: Path) -> None:
    options = {**TASKS["classes"], "backbone.tied": True, "train.ema": 0.5, "train.checkpoint_every": 1}
    inarch.train(marked, options, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        inarch.train(marked, options, out=tmp_path / "cut", progress=StopAt(7))
    inarch.train(marked, options, out=tmp_path / "cut", resume=True)
    whole, cut = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("whole", "cut"))
    assert torch.equal(whole["backbone.embedding.weight"], whole["backbone.again.weight"])
    assert whole.keys() == cut.keys() and all(torch.equal(whole[name], cut[name]) for name in whole)
    backbone = inarch.load(tmp_path / "cut").model.backbone
    assert backbone.embedding.weight is backbone.again.weight
    assert torch.equal(backbone.embedding.weight.cpu(), whole["backbone.embedding.weight"])


class StopAt(Progress):
    """Interrupts a run when a step is done."""

    def __init__(self, step: int) -> None:
        self.last = step

    def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
        if done == self.last:
            raise KeyboardInterrupt


@pytest.mark.parametrize("raw", ["abc", {"text": "abc"}, {"text": "abc", "others": "x"}, ["abc", "x"]])
def test_an_input_without_the_columns_of_training_is_told_so(trained: Callable[[str], Path], raw: Any) -> None:
    opened = inarch.load(trained("pairs"))
    pair = {"text": "abc", "other": "xxx"}
    with pytest.raises(inarch.RunError, match="expected the columns text, other"):
        opened.predict([raw])
    found = [prediction for _, prediction in opened.stream([raw, pair, raw], skip_unreadable=True)]
    assert [sorted(prediction) for prediction in found] == [["error"], ["cosine", "value"], ["error"]]


def test_columns_are_known_by_their_names_in_any_order(trained: Callable[[str], Path]) -> None:
    opened = inarch.load(trained("pairs"))
    seen: list[Any] = []
    opened.model.backbone.prepare = lambda raws: seen.extend(raws)
    opened.predict([{"other": "xxx", "more": 1, "text": "abc"}])
    assert seen == ["abc", "xxx"]
