"""Inputs longer than the backbone takes: trained on parts, seen through windows in evaluation and when served."""

import json
from pathlib import Path

import pytest
import torch
from marked import TASKS

import inarch
from inarch import DataError

WINDOWED = {"backbone.prepared": False, "backbone.window": 8}


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_class_is_served_as_it_was_evaluated_whatever_the_batch(
    letters: Path, tmp_path: Path, batch_size: int
) -> None:
    result = inarch.train(letters, WINDOWED, out=tmp_path / "run")
    assert result.parity < 1e-6 and result.metrics["accuracy"].value > 0.8
    expected = lines(tmp_path / "run")
    served = inarch.load(tmp_path / "run").predict([line["input"] for line in expected], batch_size)
    assert [one["class"] for one in served] == [line["class"] for line in expected]
    assert [one["score"] for one in served] == pytest.approx([line["score"] for line in expected], abs=1e-5)


def test_the_logits_of_a_long_input_are_the_mean_of_its_windows(letters: Path, tmp_path: Path) -> None:
    inarch.train(letters, WINDOWED, out=tmp_path / "run")
    bundle = inarch.load(tmp_path / "run")
    whole, first, last = bundle.outputs(["abcdefghabcd", "abcdefgh", "efghabcd"])
    assert torch.allclose(whole, (first + last) / 2, atol=1e-6)


@pytest.mark.parametrize("task", ["segments", "span"])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_places_are_those_in_the_whole_input(marked: Path, tmp_path: Path, task: str, batch_size: int) -> None:
    options = {**TASKS[task], **WINDOWED, "train.epochs": 12, "train.learning_rate": 0.05}
    if task == "span":
        options["backbone.window"] = 20
    inarch.train(marked, options, out=tmp_path / "run")
    text = "abc dddd e aab zzz aaa bb c dddd eee gaa hhh ab"
    [found] = inarch.load(tmp_path / "run").predict([text], batch_size)
    for place in found.get("segments", [found]):
        assert text[place["start"] : place["end"]] == place["text"]
    if task == "segments":
        assert [(s["text"], s["label"]) for s in found["segments"]] == [("zzz", "z")]
        assert len(found["tags"]) == len(text)


@pytest.mark.parametrize("measured", [True, False])
def test_an_input_that_training_would_cut_is_refused_before_the_first_step_where_a_part_has_not_the_target(
    marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: bool
) -> None:
    from inarch_toy.spelling import Letters

    from inarch.builtin.span import Span

    monkeypatch.setattr(Span, "whole", True)
    if not measured:
        monkeypatch.setattr(Letters, "measure", inarch.Backbone.measure)
    monkeypatch.setattr(Span, "loss", None)  # no step is taken
    with pytest.raises(DataError, match=r"line \d+: its length is \d+, and 8 go through .* leave it out.*on_error"):
        inarch.train(marked, {**TASKS["span"], **WINDOWED}, out=tmp_path / "run")


def test_what_no_pretraining_made_is_trained_though_the_backbone_is_frozen(letters: Path, tmp_path: Path) -> None:
    inarch.train(letters, {"backbone.scaled": True, "strategy": "linear_probe"}, out=tmp_path / "run")
    backbone = inarch.load(tmp_path / "run").model.backbone
    assert not torch.equal(backbone.scale, torch.ones_like(backbone.scale))
    frozen = json.loads((tmp_path / "run" / "results.json").read_text())["frozen"]
    assert all(phase["before"] == phase["after"] is not None for phase in frozen)
