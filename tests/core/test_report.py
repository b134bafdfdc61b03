"""The report: one page that needs nothing else."""

import json
from pathlib import Path

import pytest
import torch

import inarch
from inarch.interfaces.dataset import Targets
from inarch.report import confusion, curves


def test_the_page_holds_the_figures_the_curves_the_confusion_and_the_recipe(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, {"name": "<toy> & co"}, out=tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    for name, estimate in results["metrics"].items():
        assert f"<td>{name}</td><td>{estimate['value']:.4f}</td>" in page
    assert "&lt;toy&gt; &amp; co" in page and "<toy>" not in page
    assert page.count("<polyline") == 3  # loss of train and valid, accuracy of valid
    assert "learning_rate: 0.02" in page and "Which class was taken for which" in page
    assert "http" not in page and "src=" not in page


def test_the_page_tells_what_to_know_of_the_data_and_holds_the_options_of_components(
    letters: Path, tmp_path: Path
) -> None:
    inarch.train(letters, {"backbone.longest": 20}, out=tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    notes = json.loads((tmp_path / "run" / "results.json").read_text())["notes"]
    assert notes["train"] and f"<li>train: {notes['train'][0]}</li>" in page
    assert "longest: 20" in page and "label_smoothing: 0.0" in page


def test_a_curve_fills_its_chart_from_the_first_to_the_last_epoch() -> None:
    history = [{"epoch": epoch, "train": {"loss": 3.0 - epoch}, "valid": {"loss": 2.0}} for epoch in (1, 2)]
    [chart] = curves(history)
    assert (chart["low"], chart["high"], chart["last"]) == (1.0, 2.0, 2)
    (x1, y1), (x2, y2) = ([float(n) for n in point.split(",")] for point in chart["lines"]["train"].split())
    assert x1 < x2 and y1 < y2  # later is to the right, less is further down


def test_values_that_are_not_numbers_leave_no_hole_in_the_page() -> None:
    history = [{"epoch": 1, "valid": {"auroc": float("nan")}}, {"epoch": 2, "valid": {"auroc": 0.5}}]
    [chart] = curves(history)
    assert "nan" not in str(chart)


def test_the_confusion_counts_true_by_predicted() -> None:
    targets = Targets("classes", ("a", "b"))
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert confusion(targets, scores, torch.tensor([0, 0, 1])) == [[1, 1], [1, 0]]


@pytest.mark.parametrize("targets", [Targets("numbers"), Targets("classes", tuple(map(str, range(31))))])
def test_there_is_no_confusion_for_numbers_and_for_very_many_classes(targets: Targets) -> None:
    assert confusion(targets, torch.rand(2, 31), torch.tensor([0, 1])) is None
