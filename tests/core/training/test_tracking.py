"""A tracker is told every evaluation once, whatever becomes of the processes."""

import json
from pathlib import Path

import pytest
from attempts.case_kill import Kill
from attempts.kills import group, train

import inarch

SCALARS = ("train/loss", "valid/accuracy", "valid/loss")


def told(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(run / "tensorboard"))
    shown.Reload()
    return {name: [(event.step, event.value) for event in shown.Scalars(name)] for name in SCALARS}


def test_tensorboard_shows_every_evaluation_once_after_a_run_was_killed(toy_recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="an optional extra")
    run, options = tmp_path / "run", {"train.tracker": "tensorboard", "train.epochs": 4}
    for number in (1, 2):  # the first comes before there is a checkpoint, the second while there is one
        kill = Kill("telling the tracker", number)
        assert group(train, (toy_recipe, options, run), 1, tmp_path / "home", kill)
    inarch.train(toy_recipe, options, out=run, resume=True)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 4
    for name, seen in told(run).items():
        split, figure = name.split("/")
        assert seen == [(line["step"], pytest.approx(line[split][figure], rel=1e-6)) for line in lines]


def test_a_tracker_that_is_not_installed_is_an_error(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inarch.workflows.start.get_available_trackers", list)
    with pytest.raises(inarch.RunError, match="tensorboard is not installed: pip install tensorboard"):
        inarch.train(toy_recipe, {"train.tracker": "tensorboard"}, out=tmp_path / "run")


def test_a_tracker_draws_nothing_at_random(toy_recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="an optional extra")
    for tracker in ("none", "tensorboard"):
        inarch.train(toy_recipe, {"train.tracker": tracker, "backbone.dropout": 0.5}, out=tmp_path / tracker)
    one, other = ((tmp_path / tracker / "metrics.jsonl").read_text() for tracker in ("none", "tensorboard"))
    assert one == other
