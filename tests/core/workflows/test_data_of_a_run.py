"""A run belongs to its data: it is not resumed or measured on other data, wherever the command is given."""

from pathlib import Path

import pytest
from conftest import RECIPE, write_vectors

import inarch
from inarch import recipe
from inarch.workflows.check import check
from inarch.workflows.evaluate import evaluate_run


def test_a_run_is_not_resumed_on_data_that_has_changed(toy_recipe: Path, vectors: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, out=tmp_path / "run")
    results = (tmp_path / "run" / "results.json").read_text()
    write_vectors(vectors, rows=80)
    with pytest.raises(inarch.RunError, match="the data is not what this run was made with: train had 42 examples"):
        inarch.train(toy_recipe, out=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "results.json").read_text() == results


def test_a_run_is_not_measured_on_data_that_has_changed(toy_recipe: Path, vectors: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, out=tmp_path / "run")
    predictions = (tmp_path / "run" / "predictions" / "test.jsonl").read_text()
    write_vectors(vectors, seed=1)
    with pytest.raises(inarch.RunError, match=r"test had \d+ examples, now it has \d+"):
        evaluate_run(tmp_path / "run", "test")
    assert (tmp_path / "run" / "predictions" / "test.jsonl").read_text() == predictions


def test_a_relative_path_means_the_same_from_another_folder(
    tmp_path: Path, vectors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy.yaml").write_text(RECIPE.format(path=vectors.name), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    inarch.train("toy.yaml", out="run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "accuracy" in evaluate_run(tmp_path / "run", "test")


def test_a_missing_path_is_told_as_an_absolute_one_with_the_nearest_name(toy_recipe: Path, vectors: Path) -> None:
    wrong = vectors.with_name("vektors.csv")
    with pytest.raises(
        inarch.DataError, match=rf"{wrong}: there is no such file or folder\. Did you mean 'vectors.csv'"
    ):
        check(recipe.load(toy_recipe, {"dataset.path": str(wrong)}))


def test_a_missing_file_of_weights_is_told_by_check_with_its_line(toy_recipe: Path) -> None:
    with pytest.raises(inarch.WeightsError, match=r"backbone\.weights: nowhere\.safetensors: there is no"):
        check(recipe.load(toy_recipe, {"backbone.weights": "nowhere.safetensors"}))
