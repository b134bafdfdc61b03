"""The ladder: the rule on scores made for it, and runs that climb, stop, go on, and never look at test."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Inarch, write_vectors

import inarch
from inarch import RecipeError
from inarch.builtin.ladder import auto
from inarch.checkpoint import file_hash
from inarch.recipe import Train
from inarch.workflows.climbing import Step, Tried, best, decide, probability
from inarch.workflows.evaluate import evaluate_run
from inarch.workflows.show import show

RUNGS = ["knn", "linear_probe", "lp_ft", "lora", "full"]


def tried(*values: float, spread: float = 0.0, first: int = 0) -> list[Tried]:
    """Rungs that reached `values`, each the same on every draw but for a spread of its own."""
    random = np.random.default_rng(0)
    return [
        Tried(name, value, value + spread * random.standard_normal(1000), index >= 2)
        for index, (name, value) in list(enumerate(zip(RUNGS, values, strict=False)))[first:]
    ]


def asked(rungs: list[Tried], look_further: bool = False, ideal: Tried | None = None) -> Step:
    return decide(rungs, RUNGS[len(rungs)], len(rungs) >= 2, ideal, look_further)


def test_the_rungs_without_training_are_always_tried_and_then_the_first_that_trains() -> None:
    assert all(asked(tried(*[0.9, 0.5][:count])).go for count in range(3))


def test_a_surely_better_rung_leads_to_the_next() -> None:
    step = asked(tried(0.6, 0.7, 0.8))
    assert step.go and "lp_ft (0.8000) is better than linear_probe (0.7000) in 100% of draws" in step.why


@pytest.mark.parametrize("value", [0.65, 0.7, 0.705])
def test_a_rung_that_is_not_surely_better_ends_the_climb(value: float) -> None:
    step = asked(tried(0.6, 0.7, value, spread=0.02))
    assert not step.go and step.why.startswith("lora is not tried: lp_ft") and "less than 95%" in step.why


def test_one_look_further_may_be_asked_for_where_valid_is_undecided() -> None:
    undecided = tried(0.6, 0.7, 0.705, spread=0.02)
    assert asked(undecided, look_further=True).go
    assert not asked(tried(0.6, 0.7, 0.5, spread=0.02), look_further=True).go  # surely worse
    assert not asked(tried(0.6, 0.7, 0.705, 0.71, spread=0.02), look_further=True).go  # a second look


def test_a_climb_ends_where_not_even_a_perfect_rung_could_be_told_from_the_best() -> None:
    random = np.random.default_rng(0)

    def with_errors(count: int) -> Tried:
        right = np.arange(60) >= count
        return Tried("linear_probe", float(right.mean()), right[random.integers(0, 60, (1000, 60))].mean(1), False)

    perfect = Tried("perfect", 1.0, np.ones(1000), True)
    assert not decide([with_errors(1)], "lp_ft", True, perfect, False).go
    assert decide([with_errors(6)], "lp_ft", True, perfect, False).go
    assert decide([with_errors(1)], "lp_ft", True, None, False).go  # what perfect is may not be known


def test_the_cheapest_of_equal_rungs_is_the_best_and_an_undefined_one_never_is() -> None:
    assert best(tried(0.7, 0.8, 0.8)).name == "linear_probe"
    assert best(tried(float("nan"), 0.1)).name == "linear_probe"
    one, other = tried(0.5, 0.5)
    assert probability(one, other) == 0.5
    assert probability(Tried("a", 1.0, np.full(1000, np.nan), True), other) == 0.5


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10min", 600), ("1.5 h", 5400)])
def test_a_budget_is_a_duration_or_epochs(text: str, seconds: float) -> None:
    assert auto(budget=text).ladder(Train()).seconds == seconds  # type: ignore[union-attr]
    assert auto(budget=12).ladder(Train()).epochs == 12  # type: ignore[union-attr]


@pytest.mark.parametrize("budget", ["ten minutes", "0min", "5", "-3h"])
def test_a_budget_that_is_none_is_told(budget: str) -> None:
    with pytest.raises(RecipeError, match=r"strategy\.budget: expected a duration such as 90s, 10min or 2h"):
        auto(budget=budget)


def test_the_heads_of_all_rungs_that_take_steps_have_the_rate_of_the_recipe() -> None:
    train = Train(learning_rate=1e-4)
    rungs = {rung.name: rung.changes for rung in auto(head_multiplier=10).ladder(train).rungs}  # type: ignore[union-attr]
    assert rungs["lora"]["strategy"]["head_multiplier"] * rungs["lora"]["train.learning_rate"] == pytest.approx(1e-3)


@pytest.fixture
def noisy(toy_recipe: Path, tmp_path: Path) -> dict[str, Any]:
    """Options of a ladder over 120 vectors, a fifth of whose classes are wrong: no rung is near perfect."""
    lines = write_vectors(tmp_path / "many.csv", 120, seed=1).read_text().splitlines()
    random, rows = np.random.default_rng(0), [line.split(",") for line in lines]
    for row in rows[1:]:
        row[1] = random.choice(["warm", "cold"]) if random.random() < 0.4 else row[1]
    (tmp_path / "many.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    return {"dataset.path": str(tmp_path / "many.csv"), "strategy": {"name": "auto"}, "splits.valid": 0.3,
            "train.batch_size": 32, "train.epochs": 1}  # fmt: skip


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def test_the_best_rung_becomes_a_run_like_any_other(toy_recipe: Path, tmp_path: Path, noisy: dict[str, Any]) -> None:
    result = inarch.train(toy_recipe, noisy, out=tmp_path / "run")
    run, ladder = result.directory, read(result.directory, "ladder.json")
    reached = {name: rung["accuracy"] for name, rung in ladder["rungs"].items()}
    assert list(reached)[:3] == ["knn", "linear_probe", "lp_ft"]
    assert reached[ladder["chosen"]] == max(reached.values())
    chosen = run / "rungs" / ladder["chosen"]
    assert file_hash(run / "model" / "model.safetensors") == file_hash(chosen / "model" / "model.safetensors")
    results = read(run, "results.json")
    assert results["split"] == result.split == "test" and results["ladder"] == ladder
    assert results["metrics"]["accuracy"]["value"] == result.metrics["accuracy"].value
    assert all(sentence in (run / "report.html").read_text() for sentence in results["notes"]["ladder"][-1:])
    assert show(run)["strategy"] == "auto" and evaluate_run(run, "test")["accuracy"] == result.metrics["accuracy"]
    assert inarch.load(run).predict(["1 2 3 4"])[0]["class"] in ("warm", "cold")
    assert [path.name for path in (run / "rungs").rglob("test.*")] == []  # no rung was measured on test


def test_finished_rungs_are_not_run_again(toy_recipe: Path, tmp_path: Path, noisy: dict[str, Any]) -> None:
    noisy["strategy"] |= {"rungs": ["knn", "linear_probe"]}
    run = inarch.train(toy_recipe, noisy, out=tmp_path / "run").directory
    before, ladder = (run / "model" / "model.safetensors").read_bytes(), read(run, "ladder.json")
    stamps = {path: path.stat().st_mtime_ns for path in (run / "rungs").rglob("results.json")}
    last = list(ladder["rungs"])[-1]
    shutil.rmtree(run / "model")
    (run / "rungs" / last / "results.json").unlink()  # killed between the bundle of a rung and its results
    inarch.train(toy_recipe, noisy, out=run, resume=True)
    again = {path: path.stat().st_mtime_ns for path in (run / "rungs").rglob("results.json")}
    assert [path.parent.name for path in stamps if stamps[path] != again[path]] == [last]
    assert (run / "model" / "model.safetensors").read_bytes() == before
    assert read(run, "ladder.json")["sentences"] == ladder["sentences"]


def test_what_test_holds_changes_nothing_of_the_choice(toy_recipe: Path, tmp_path: Path, noisy: dict[str, Any]) -> None:
    noisy["strategy"] |= {"rungs": ["linear_probe", "full"]}
    lines = (tmp_path / "many.csv").read_text().splitlines()
    rest, test = lines[1:91], lines[91:]
    spoilt = [line.replace("warm", "?").replace("cold", "warm").replace("?", "cold") for line in test]
    files = {"train": rest, "test": test, "spoilt": spoilt}
    for name, rows in files.items():
        (tmp_path / f"{name}.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    found = []
    for name in ("test", "spoilt"):
        given = {key: value for key, value in noisy.items() if key != "dataset.path"}
        given["dataset.path"] = {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / f"{name}.csv")}
        run = inarch.train(toy_recipe, given, out=tmp_path / name)
        found.append((run, read(run.directory, "ladder.json")))
    (plain, one), (other, two) = found
    for ladder in (one, two):
        for rung in ladder["rungs"].values():
            rung.pop("seconds")
    assert one == two
    assert plain.metrics["accuracy"].value == pytest.approx(1 - other.metrics["accuracy"].value)


def test_a_rung_that_will_not_fit_into_the_budget_is_not_begun(
    toy_recipe: Path, tmp_path: Path, noisy: dict[str, Any]
) -> None:
    noisy["strategy"] |= {"budget": 1, "rungs": ["linear_probe", "lora", "full"]}
    run = inarch.train(toy_recipe, noisy, out=tmp_path / "run").directory
    ladder = read(run, "ladder.json")
    assert list(ladder["rungs"]) == ["linear_probe", "lora"]
    assert any("full is not" in sentence for sentence in ladder["sentences"])
    noisy["strategy"] |= {"budget": "0.01s"}
    late = read(inarch.train(toy_recipe, noisy, out=tmp_path / "late").directory, "ladder.json")
    assert list(late["rungs"]) == ["linear_probe"]
    assert "by a few timed steps, and the budget leaves 0 s" in late["sentences"][1]


def test_rungs_that_cannot_be_are_passed_over_and_why_is_said(
    toy_recipe: Path, tmp_path: Path, noisy: dict[str, Any]
) -> None:
    noisy |= {"dataset.target": "number", "head": "regressor", "metrics": ["rmse"]}
    noisy["strategy"] |= {"rungs": ["knn", "linear_probe"]}
    ladder = read(inarch.train(toy_recipe, noisy, out=tmp_path / "run").directory, "ladder.json")
    assert ladder["sentences"][0] == "knn is passed over: it is for the head classifier, not regressor"
    assert ladder["chosen"] == "linear_probe" and ladder["rungs"]["linear_probe"]["rmse"] > 0


def test_several_processes_climb_together(toy_recipe: Path, tmp_path: Path, inarch: Inarch) -> None:
    ladder = "strategy={name: auto, rungs: [linear_probe, full]}"
    done = inarch("train", toy_recipe, ladder, "train.epochs=1", "--out", "run", "--processes", 2)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "run", "environment.json")["processes"] == 2
    assert "accuracy" in read(tmp_path / "run", "results.json")["metrics"]


def test_a_ladder_needs_valid(toy_recipe: Path, tmp_path: Path, noisy: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"a ladder chooses by valid.*set splits\.valid above 0"):
        inarch.train(toy_recipe, {**noisy, "splits.valid": 0}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
