"""A run directory is used once, resumed by the same recipe, and never overwritten."""

import shutil
from pathlib import Path

import pytest

import inarch
from inarch.errors import RunError
from inarch.workflows import directory


@pytest.fixture
def run(toy_recipe: Path, tmp_path: Path) -> Path:
    """A finished run."""
    inarch.train(toy_recipe, {"train.epochs": 1}, out=tmp_path / "run")
    return tmp_path / "run"


def test_a_directory_that_holds_a_run_is_refused_before_torch_is_imported(run: Path, toy_recipe: Path, refused) -> None:
    once = ["train", toy_recipe, "--out", run]
    assert "already holds this run; continue it with --resume" in refused(*once, "train.epochs=1")
    assert "a different run (train.epochs: 1 there, 2 here)" in refused(*once)
    message = refused(*once, "head.hidden=3", "train.epochs=1", "--resume")
    assert "head.hidden: None there, 3 here" in message and "resume with the same recipe" in message


def test_another_backbone_is_refused_once_it_is_built(run: Path, toy_recipe: Path, refused) -> None:
    message = refused("train", toy_recipe, "--out", run, "train.epochs=1", "backbone.width=9", light=False)
    assert "backbone.width: 8 there, 9 here" in message


def test_a_folder_or_file_that_is_no_run_is_refused(toy_recipe: Path, tmp_path: Path, refused) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for path in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt"):
        assert "holds no run; choose another --out" in refused("train", toy_recipe, "--out", path)


def test_a_finished_run_is_shown(run: Path, inarch) -> None:
    found = inarch("show", run)
    assert found.returncode == 0
    assert "toy: vectors, classifier, full; finished" in found.stdout and "test accuracy: " in found.stdout


def test_a_folder_without_a_run_or_a_broken_line_in_it_is_told(run: Path, tmp_path: Path, refused) -> None:
    assert "no run here" in refused("show", tmp_path)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": ')
    assert "metrics.jsonl: not JSON" in refused("show", run)


def test_names_are_numbered_where_they_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert directory.choose(None, "x", False) == Path("runs/x")
    (tmp_path / "runs" / "x").mkdir(parents=True)
    assert directory.choose(None, "x", False) == Path("runs/x-2")
    assert directory.choose(None, "x", True) == Path("runs/x")
    assert directory.choose(Path("mine"), "x", False) == Path("mine")


def test_a_recipe_of_a_run_that_cannot_be_read_is_a_run_error(run: Path) -> None:
    (run / "recipe.yaml").write_text("name: [")
    with pytest.raises(RunError, match="the recipe of the run cannot be read"):
        directory.recipe_of(run)


def test_what_a_run_left_that_ended_before_it_began_is_no_hindrance(toy_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    inarch.train(toy_recipe, {"train.epochs": 1}, out=run)
    data = (run / "data.json").read_bytes()
    shutil.rmtree(run)
    run.mkdir()
    (run / "data.json").write_bytes(data)
    for name in (".lock", ".recipe.yaml.0123abcd", ".data.json.4567cdef"):
        (run / name).touch()
    inarch.train(toy_recipe, {"train.epochs": 1}, out=run)
    assert not list(run.glob(".*.*"))
    shutil.rmtree(run)
    run.mkdir()
    (run / "data.json").write_text('{"mine": {"examples": 3}}')
    with pytest.raises(RunError, match="holds no run"):
        inarch.train(toy_recipe, {"train.epochs": 1}, out=run)


def test_a_run_may_go_on_with_another_number_of_loader_workers(run: Path, toy_recipe: Path) -> None:
    before = (run / "metrics.jsonl").read_bytes()
    inarch.train(toy_recipe, {"train.epochs": 1, "train.workers": 1}, out=run, resume=True)
    assert (run / "metrics.jsonl").read_bytes() == before
    with pytest.raises(RunError, match="different run"):
        inarch.train(toy_recipe, {"train.epochs": 1, "train.batch_size": 7}, out=run, resume=True)
