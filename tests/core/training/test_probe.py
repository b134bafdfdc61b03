"""Phases that fit the head to stored features, through the public door."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from group import run_group
from marked import TASKS, write_marked
from safetensors.torch import load_file, save_file

import inarch
from inarch.checkpoint import file_hash, step_directory

PROBE = {"strategy": "linear_probe"}


class Listen(inarch.Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def head(run: Path) -> dict[str, torch.Tensor]:
    found = load_file(run / "model" / "model.safetensors")
    return {name: tensor for name, tensor in found.items() if name.startswith("head.")}


def ending(run: Path) -> tuple[str, str, str]:
    """What a run ended with: its weights, its figures, its predictions."""
    return (file_hash(run / "model" / "model.safetensors"), (run / "metrics.jsonl").read_text(),
            file_hash(run / "predictions" / "test.jsonl"))  # fmt: skip


def test_a_probe_is_one_fit_that_reaches_what_steps_reach(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, PROBE, out=tmp_path / "fitted")
    steps = {"strategy": {"name": "linear_probe", "solver": "steps"}, "train.epochs": 16, "train.evaluate_every": 96,
             "train.checkpoint_every": 96}  # fmt: skip
    inarch.train(toy_recipe, steps, out=tmp_path / "steps")
    [line] = lines(tmp_path / "fitted")
    assert (line["step"], line["epoch"], line["fit"]["examples"]) == (1, 1, 42)
    assert line["valid"].keys() == {"loss", "accuracy"}
    assert line["valid"]["loss"] < 1.1 * lines(tmp_path / "steps")[-1]["valid"]["loss"]
    results = json.loads((tmp_path / "fitted" / "results.json").read_text())
    [hashes] = results["frozen"]
    assert results["fits"] == [line["fit"]] and hashes["before"] == hashes["after"] is not None


def test_features_that_are_stored_and_features_that_are_not_end_in_the_same_bits(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"strategy": {"name": "linear_probe", "views": 2}, "backbone.noise": 0.3}
    monkeypatch.setenv("INARCH_CACHE", str(tmp_path / "cache"))
    for name in ("first", "stored"):
        inarch.train(toy_recipe, options, out=tmp_path / name)
    (tmp_path / "file").touch()
    monkeypatch.setenv("INARCH_CACHE", str(tmp_path / "file" / "no folder"))
    inarch.train(toy_recipe, options, out=tmp_path / "never stored")
    assert ending(tmp_path / "first") == ending(tmp_path / "stored") == ending(tmp_path / "never stored")
    notes = json.loads((tmp_path / "never stored" / "results.json").read_text())["notes"]["train"]
    assert any("without being stored" in note for note in notes)


def test_views_are_more_of_each_example(toy_recipe: Path, tmp_path: Path) -> None:
    for views in (1, 3):
        options = {"strategy": {"name": "linear_probe", "views": views}, "backbone.noise": 1.0}
        inarch.train(toy_recipe, options, out=tmp_path / str(views))
        [line] = lines(tmp_path / str(views))
        assert (line["fit"]["views"], line["fit"]["examples"]) == (views, 42)
    assert not torch.equal(*(head(tmp_path / str(views))["head.linear.weight"] for views in (1, 3)))


def test_every_seed_finds_the_same_head_but_for_the_folds(toy_recipe: Path, tmp_path: Path) -> None:
    options = {**PROBE, "splits.seed": 0, "splits.valid": 0.2}
    for seed in (1, 2):
        inarch.train(toy_recipe, {**options, "seed": seed}, out=tmp_path / str(seed))
    # the toy's frozen backbone is random, so the features differ; what is told of the fit has the same form
    first, second = (lines(tmp_path / str(seed))[0]["fit"] for seed in (1, 2))
    assert first.keys() == second.keys() and first["folds"] == second["folds"] == 5


def test_a_run_resumed_after_the_fit_ends_with_the_same_bits(toy_recipe: Path, tmp_path: Path) -> None:
    options = {"strategy": "lp_ft", "backbone.dropout": 0.2, "train.ema": 0.9, "train.checkpoint_every": 1}
    whole, cut, kept = tmp_path / "whole", tmp_path / "cut", tmp_path / "kept"

    class Keep(inarch.Progress):
        def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
            assert done <= total and epoch <= epochs
            for directory in (whole / "checkpoints").glob("step-*"):
                shutil.copytree(directory, kept / directory.name, dirs_exist_ok=True)

    inarch.train(toy_recipe, options, out=whole, progress=Keep())
    assert lines(whole)[0]["phase"] != lines(whole)[-1]["phase"]
    for step in (1, 3):
        shutil.copytree(whole, cut)
        shutil.rmtree(cut / "checkpoints")
        shutil.copytree(step_directory(kept, step), step_directory(cut / "checkpoints", step))
        inarch.train(toy_recipe, options, out=cut, resume=True)
        assert ending(cut) == ending(whole)
        shutil.rmtree(cut)


def test_a_probe_resumed_after_its_fit_only_finishes(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, PROBE, out=tmp_path / "run")
    before = ending(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "model")
    (tmp_path / "run" / "results.json").unlink()
    heard = Listen()
    inarch.train(toy_recipe, PROBE, out=tmp_path / "run", resume=True, progress=heard)
    assert ending(tmp_path / "run") == before and not any("the backbone sees train" in said for said in heard.said)


@pytest.mark.parametrize(
    ("task", "reason"),
    [("segments", "for the head reads tokens"), ("pairs", "for the head reads examples in pairs"),
     ("classes", "for the head reads examples in pairs")],
)  # fmt: skip
def test_where_features_do_not_hold_what_the_head_reads_steps_are_taken_and_it_is_said(
    tmp_path: Path, task: str, reason: str
) -> None:
    heard = Listen()
    made = write_marked(tmp_path)
    changed = (
        {"head": "tagger"}
        if task == "segments"
        else {"backbone.width": 8, "head": {"name": "embedder", "dimensions": 4}}
    )
    inarch.train(made, {**TASKS[task], **PROBE, **changed}, out=tmp_path / "run", progress=heard)
    assert any(reason in said and "trained by steps" in said for said in heard.said)
    notes = json.loads((tmp_path / "run" / "results.json").read_text())["notes"]["train"]
    assert any(reason in note for note in notes) and "fit" not in lines(tmp_path / "run")[0]


def test_weights_that_no_pretraining_made_are_trained_by_steps(letters: Path, tmp_path: Path) -> None:
    heard = Listen()
    inarch.train(letters, {**PROBE, "backbone.scaled": True}, out=tmp_path / "run", progress=heard)
    assert any("scale of the backbone train with the head" in said for said in heard.said)
    assert len(lines(tmp_path / "run")) == 2


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("window", [None, 8])
def test_pooled_tokens_are_stored_too(letters: Path, tmp_path: Path, pooling: str, window: int | None) -> None:
    options = {
        "head.name": "classifier",
        "head.pooling": pooling,
        "backbone.window": window,
        "backbone.prepared": False,
    }
    result = inarch.train(letters, {**PROBE, **options}, out=tmp_path / "run")
    [line] = lines(tmp_path / "run")
    assert line["fit"]["standardised"] and result.parity < 1e-5 and result.metrics["accuracy"].value > 0.7


def test_numbers_are_fitted(toy_recipe: Path, tmp_path: Path) -> None:
    options = {"head": "regressor", "dataset.target": "number", "metrics": ["r2"], **PROBE}
    result = inarch.train(toy_recipe, options, out=tmp_path / "run")
    assert result.metrics["r2"].value > 0.8


def test_groups_are_whole_in_the_folds(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, {**PROBE, "dataset.group": "group"}, out=tmp_path / "run")
    assert lines(tmp_path / "run")[0]["fit"]["folds"] >= 2


def test_examples_that_cannot_be_read_are_left_out_of_the_fit(toy_recipe: Path, tmp_path: Path, vectors: Path) -> None:
    broken = vectors.read_text().splitlines()
    broken[7] = "1 2," + broken[7].split(",", 1)[1]
    vectors.write_text("\n".join(broken))
    options = {**PROBE, "on_error": "skip", "error_limit": 0.2, "splits.valid": 0, "splits.test": 0.2}
    inarch.train(toy_recipe, options, out=tmp_path / "run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    places = [place for where in results["skipped"].values() for place in (where if isinstance(where, list) else [])]
    assert len(places) == 1


def test_features_that_are_not_finite_stop_with_their_places(toy_recipe: Path, tmp_path: Path, vectors: Path) -> None:
    rows = vectors.read_text().splitlines()
    rows[9] = "nan 1 2 3," + rows[9].split(",", 1)[1]
    vectors.write_text("\n".join(rows))
    with pytest.raises(inarch.RunError, match=r"features of 1 of \d+ examples of train are not finite: .*vectors\.csv"):
        inarch.train(toy_recipe, {**PROBE, "splits.valid": 0, "splits.test": 0.01}, out=tmp_path / "run")


def test_two_processes_end_with_the_head_of_one(toy_recipe: Path, tmp_path: Path) -> None:
    here = Path(__file__).parent
    run_group(here / "group_probe.py", 2, toy_recipe, tmp_path / "2", timeout=300)
    inarch.train(toy_recipe, PROBE, out=tmp_path / "1")
    one, two = (head(tmp_path / f"{processes}") for processes in (1, 2))
    assert all(torch.allclose(tensor, two[name], atol=1e-5) for name, tensor in one.items())
    assert (tmp_path / "2" / "rank-0.txt").read_text() == (tmp_path / "2" / "rank-1.txt").read_text()


def test_a_second_probe_of_the_same_examples_costs_no_pass_through_the_backbone(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inarch_toy.backbone import Vectors

    body = Vectors("none", 4, 8, 2, 0.0, False, 0.0, False, 0).state_dict()
    save_file(body, tmp_path / "body.safetensors")
    seen: list[int] = []
    forward = Vectors.forward
    monkeypatch.setattr(
        Vectors, "forward", lambda self, **batch: seen.append(len(batch["vector"])) or forward(self, **batch)
    )
    options = {**PROBE, "splits.seed": 0, "backbone.weights": str(tmp_path / "body.safetensors")}
    for seed, head in ((0, "classifier"), (1, "classifier"), (0, "knn")):
        seen.clear()
        inarch.train(toy_recipe, {**options, "seed": seed, "head": head}, out=tmp_path / f"{head} {seed}")
        serving = 2 * 9  # test goes through the training path and through the bundle, to be compared
        assert sum(seen) == serving + (0 if seed or head == "knn" else 60)
