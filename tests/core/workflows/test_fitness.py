"""What `inarch check` knows of a strategy before a model is built."""

from pathlib import Path
from typing import Any

import pytest

import inarch
from inarch import RecipeError, RunError
from inarch.recipe import load
from inarch.workflows.check import check
from inarch.workflows.compare import prepare


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"strategy": "auto", "splits.valid": 0}, r"a ladder chooses by valid, and there is no such split"),
        ({"strategy": "soup", "splits.valid": 0}, r"'soup' chooses weights on valid, and there is no such split"),
        ({"head": "knn", "strategy": "full"}, r"'knn' has nothing that steps could train; write strategy: linear_pro"),
        ({"head": "knn", "strategy": "lp_ft"}, r"'knn' has nothing that steps could train"),
        ({"head": "knn", "strategy": "auto"}, r"'knn' has nothing that steps could train; write head: classifier"),
        ({"strategy": {"name": "distill", "teacher": "no/where"}}, r"strategy\.teacher: .*no/where: no bundle here"),
        ({"strategy": {"name": "soup", "runs": ["no/where"]}}, r"strategy\.runs: .*no/where: no bundle here"),
    ],
)
def test_a_strategy_that_does_not_suit_is_told_without_a_model(
    toy_recipe: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises((RecipeError, RunError), match=said):
        check(load(toy_recipe, changes))


def test_a_head_that_steps_cannot_train_goes_with_the_probe(toy_recipe: Path) -> None:
    assert check(load(toy_recipe, {"head": "knn", "strategy": "linear_probe"}))


def test_a_comparison_with_a_missing_teacher_trains_nothing(toy_recipe: Path, tmp_path: Path) -> None:
    strategies = ["full", {"name": "distill", "teacher": "no/where"}]
    with pytest.raises(RunError, match="no/where: no bundle here"):
        prepare(toy_recipe, strategies, 1, (1.0,), None, None, (), tmp_path / "out")


def test_a_teacher_of_other_classes_is_told_without_a_model(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, {"train.epochs": 1}, out=tmp_path / "teacher")
    table = tmp_path / "other.csv"
    rows = "".join(f"{number} 1 0 2,{'abc'[number % 3]}\n" for number in range(30))
    table.write_text("vector,class\n" + rows)
    changes = {"dataset.path": str(table), "strategy": {"name": "distill", "teacher": str(tmp_path / "teacher")}}
    with pytest.raises(RunError, match=r"does not fit: it has the classes .* there, a, b, c here"):
        check(load(toy_recipe, changes))
