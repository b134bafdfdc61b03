"""A comparison from a recipe to its verdict: cells that are runs, on the same data, that go on where they stopped."""

import json
from pathlib import Path

import pytest
import safetensors.torch
from conftest import RECIPE, write_vectors
from inarch_toy import vectors as toy_backbone
from marked import TASKS

import inarch
from inarch import answers
from inarch.cli.compare import tell
from inarch.errors import DataError, RecipeError, RunError
from inarch.studies import plots
from inarch.training.progress import Progress
from inarch.workflows.check import check
from inarch.workflows.compare import Comparison, prepare
from inarch.workflows.directory import recipe_of

THREE = "scratch,linear_probe,{name: full, layer_decay: 0.5}"
LABELS = ["scratch", "linear_probe", "full (layer_decay=0.5)"]


def write_recipe(folder: Path, rows: int = 120) -> Path:
    """A recipe over vectors whose backbone has weights of its own."""
    path, weights = folder / "toy.yaml", folder / "toy.safetensors"
    written = RECIPE.format(path=write_vectors(folder / "vectors.csv", rows))
    safetensors.torch.save_file(toy_backbone().state_dict(), weights)
    path.write_text(written.replace("backbone: vectors", f"backbone: {{name: vectors, weights: {weights}}}"))
    return path


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Three strategies with two seeds."""
    folder = tmp_path_factory.mktemp("compared")
    return inarch.compare(write_recipe(folder), THREE, seeds=2, out=folder / "out")


class Told(Progress):
    """Keeps what is said, and may interrupt a cell."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.lines: list[str] = []
        self.stop_after = stop_after

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
        if self.stop_after is not None and sum("accuracy" in line for line in self.lines) >= self.stop_after:
            raise KeyboardInterrupt


def test_every_cell_is_a_run_on_the_same_data(compared: Comparison) -> None:
    cells = [compared.directory / cell["directory"] for cell in compared.summary["cells"]]
    assert len(cells) == 6 and not compared.failed
    assert len({(cell / "data.json").read_text() for cell in cells}) == 1
    assert {recipe_of(cell).seed for cell in cells} == {0, 1}
    rates = [recipe_of(cell).strategy.options.get("layer_decay") for cell in cells]
    assert rates == [1.0, 1.0, 0.5] * 2 or rates == [1.0, None, 0.5] * 2
    assert all((cell / "model").is_dir() and not (cell / "checkpoints").exists() for cell in cells)


def test_the_summary_is_written_as_json_and_holds_every_figure(compared: Comparison) -> None:
    assert json.loads((compared.directory / "comparison.json").read_text()) == compared.summary
    [result] = compared.summary["results"]
    assert {one["label"] for one in result["strategies"]} == set(LABELS)
    assert len(result["pairs"]) == 3
    for one in result["strategies"]:
        assert one["low"] <= one["mean"] <= one["high"] and list(one["values"]) == ["0", "1"]
        assert one["mean"] == pytest.approx(sum(one["values"].values()) / 2)
    trained = {one["label"]: one["trained"] for one in result["strategies"]}
    assert trained["linear_probe"] < trained["scratch"] == trained["full (layer_decay=0.5)"]
    assert min(one["cost"] for one in result["strategies"]) == 1


def test_the_verdict_compares_with_the_best_and_speaks_of_transfer(compared: Comparison) -> None:
    best = compared.summary["results"][0]["strategies"][0]["label"]
    assert best in compared.verdict[0]
    assert any("ransfer" in line for line in compared.verdict)
    assert any("two seeds hardly say" in note for note in compared.summary["notes"])
    assert any(
        note.startswith("linear_probe: heads are fitted to stored features") for note in compared.summary["notes"]
    )


def test_a_cell_s_answers_give_the_metric_that_it_reports(compared: Comparison) -> None:
    from inarch.evaluation import build_metrics

    cell = compared.directory / compared.summary["cells"][0]["directory"]
    checked = check(recipe_of(cell))
    metric = build_metrics(checked.components["metrics"], checked.targets)["accuracy"]
    value = answers.read(cell / "predictions" / "test.safetensors").value("accuracy", metric)
    assert value == pytest.approx(json.loads((cell / "results.json").read_text())["metrics"]["accuracy"]["value"])


def test_what_is_finished_is_not_run_again_and_gives_equal_files(compared: Comparison) -> None:
    recipe, told = compared.directory.parent / "toy.yaml", Told()
    before = {path: path.stat().st_mtime_ns for path in compared.directory.rglob("results.json")}
    pictures = {path: path.read_bytes() for path in compared.pictures}
    again = inarch.compare(recipe, THREE, seeds=2, out=compared.directory, progress=told)
    assert {path: path.stat().st_mtime_ns for path in compared.directory.rglob("results.json")} == before
    assert sum("(was finished)" in line for line in told.lines) == 6
    assert again.summary == compared.summary
    assert {path.name for path in pictures} == {"comparison.png", "comparison.svg"}
    assert {path: path.read_bytes() for path in again.pictures} == pictures


def test_another_recipe_or_other_data_in_its_directory_are_refused(compared: Comparison, tmp_path: Path) -> None:
    recipe = compared.directory.parent / "toy.yaml"
    with pytest.raises(RunError, match=r"already holds a different comparison \(train.epochs: 2 there, 3 here\)"):
        inarch.compare(recipe, THREE, overrides={"train.epochs": 3}, out=compared.directory)
    table = write_vectors(tmp_path / "vectors.csv", 90)
    copy = tmp_path / "out"
    copy.mkdir()
    for name in ("comparison.yaml", "data.json"):
        (copy / name).write_text((compared.directory / name).read_text())
    (compared.directory.parent / "vectors.csv").rename(tmp_path / "kept.csv")
    try:
        table.rename(compared.directory.parent / "vectors.csv")
        with pytest.raises(RunError, match="the data is not what this run was made with"):
            inarch.compare(recipe, THREE, out=copy)
    finally:
        (tmp_path / "kept.csv").rename(compared.directory.parent / "vectors.csv")


def test_an_interrupted_comparison_goes_on_and_its_finished_cells_survive(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 60)
    with pytest.raises(KeyboardInterrupt):
        inarch.compare(recipe, "scratch,full", seeds=1, out=tmp_path / "out", progress=Told(stop_after=1))
    [finished] = (tmp_path / "out").rglob("results.json")
    before, told = finished.stat().st_mtime_ns, Told()
    compared = inarch.compare(recipe, "scratch,full", seeds=1, out=tmp_path / "out", progress=told)
    assert finished.stat().st_mtime_ns == before
    assert [line.endswith("(was finished)") for line in told.lines if line.startswith("cell")] == [True, False]
    assert "cells that were interrupted do not count in the seconds" in compared.summary["notes"]


def test_a_cell_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    wanted = ["full", {"name": "linear_probe", "train.gradient_checkpointing": True}]
    compared = inarch.compare(write_recipe(tmp_path, 60), wanted, seeds=1, out=tmp_path / "out")
    [failed] = compared.failed
    assert failed.startswith("linear_probe (train.gradient_checkpointing=True), seed 0: ")
    assert "does not support it" in failed
    assert [one["label"] for one in compared.summary["results"][0]["strategies"]] == ["full"]
    assert compared.verdict[0].startswith("Nothing can be compared")


def test_shares_of_the_labels_are_nested_and_drawn_by_seed_while_test_stays(tmp_path: Path) -> None:
    plan = prepare(write_recipe(tmp_path), "linear_probe", 2, [1, 0.5, 0.2], None, None, (), tmp_path / "out")
    kept: dict[tuple[int, float], set[str]] = {}
    tests = set()
    for cell in plan.cells:
        splits = plan.checked_cell(cell).dataset.splits
        kept[cell.seed, cell.fraction] = set(splits["train"].column("vector"))
        tests.add(tuple(splits["test"].column("vector")))
    assert len(tests) == 1
    assert kept[0, 0.2] < kept[0, 0.5] < kept[0, 1.0] == kept[1, 1.0] > kept[1, 0.5] > kept[1, 0.2]
    assert kept[0, 0.2] != kept[1, 0.2]


def test_a_recipe_that_keeps_few_examples_shares_out_those_and_each_seed_has_its_own(tmp_path: Path) -> None:
    changes = {"splits": {"per_class": 20}}
    plan = prepare(write_recipe(tmp_path), "full,scratch", 2, [0.5, 1], None, None, changes, tmp_path / "out")
    kept = {
        (c.seed, c.fraction): set(plan.checked_cell(c).dataset.splits["train"].column("vector")) for c in plan.cells
    }
    assert {key: len(rows) for key, rows in kept.items()} == {(0, 0.5): 20, (0, 1): 40, (1, 0.5): 20, (1, 1): 40}
    assert kept[0, 0.5] < kept[0, 1] != kept[1, 1]


def test_a_curve_of_labels_says_how_many_a_target_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    compared = inarch.compare(recipe, ["linear_probe"], 1, fractions=[1, 0.5, 0.2], target=0.8, out=out)
    assert [result["labels"] for result in compared.summary["results"]] == [17, 42, 84]
    assert "accuracy 80.0 %" in compared.summary["curves"]["linear_probe"]["told"]
    assert {path.name for path in compared.pictures} >= {"labels.png", "labels.svg"}
    tell(compared)
    said = capsys.readouterr().out
    assert "test accuracy, 17 labels" in said and "fewer labels are fewer steps, too" in said


@pytest.mark.parametrize("task", ["segments", "pairs"])
def test_heads_that_are_measured_by_predictions_or_by_pairs_are_compared(
    marked: Path, tmp_path: Path, task: str
) -> None:
    compared = inarch.compare(
        marked, "scratch,full", seeds=1, overrides={**TASKS[task], "train.epochs": 3}, out=tmp_path / "out"
    )
    [pair] = compared.summary["results"][0]["pairs"]
    assert pair["low"] <= pair["difference"] <= pair["high"]
    [first, _] = compared.summary["cells"]
    path = next((compared.directory / first["directory"] / "predictions").glob("*.safetensors"))
    assert (answers.read(path).scores is None) == (task == "segments")


def test_numbers_are_compared_in_their_own_unit(tmp_path: Path) -> None:
    changes = {"dataset.target": "number", "head": "regressor", "metrics": ["mae"]}
    compared = inarch.compare(write_recipe(tmp_path, 60), "scratch,full", 1, overrides=changes, out=tmp_path / "out")
    first, second = compared.summary["results"][0]["strategies"]
    assert first["mean"] <= second["mean"] and not compared.summary["points"]
    assert "point" not in compared.verdict[0]


def test_without_matplotlib_everything_but_the_pictures_is_there(
    compared: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from inarch.workflows.outcome import write

    monkeypatch.setattr(plots, "is_available", lambda: False)
    assert write(tmp_path, compared.summary) == []
    assert (tmp_path / "comparison.json").is_file()
    tell(Comparison(tmp_path, compared.summary, []))
    assert "pip install 'inarch[plots]'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategies": "scratch,ful"}, "unknown strategy 'ful'. Did you mean 'full'?"),
        ({"strategies": "full,{name: full, layer_deca: 0.5}"}, "Did you mean 'layer_decay'?"),
        ({"strategies": "full,full"}, "'full' is listed twice"),
        ({"strategies": "full"}, "name two or more, as in scratch,linear_probe,full"),
        ({"strategies": "full,{layer_decay: 0.5}"}, "expected names, or {name: full, layer_decay: 0.8}"),
        ({"strategies": "full,{name: scratch, splits.test: 0.5}"}, "only keys of 'train' may differ"),
        ({"strategies": "full,{name: scratch, train.epoch: 5}"}, "Did you mean 'epochs'?"),
        ({"strategies": "full,{name: scratch"}, "--strategies"),
        ({"fractions": [0.0, 1]}, "expected numbers above 0, at most 1"),
        ({"fractions": [0.001, 1]}, "0.001 of 42 examples is none"),
        ({"seeds": 0}, "expected at least 1, found 0"),
        ({"metric": "acuracy"}, "Did you mean 'accuracy'?"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    wanted = {"strategies": "scratch,full", "out": tmp_path / "out", **changes}
    with pytest.raises((RecipeError, DataError)) as refused:
        inarch.compare(write_recipe(tmp_path, 60), **wanted)
    assert said in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_name_alone_has_the_options_of_the_recipe_s_strategy_that_it_knows(tmp_path: Path) -> None:
    from inarch import recipe
    from inarch.workflows.cells import candidates, settle

    changes = {"strategy": {"name": "full", "layer_decay": 0.5, "head_multiplier": 10}}
    base = settle(recipe.load(write_recipe(tmp_path), changes))
    found = {one.label: one.options for one in candidates(base, "full,scratch,linear_probe,{name: lora, rank: 2}")}
    assert found["full"] == {"layer_decay": 0.5, "head_multiplier": 10}
    assert found["scratch"] == {}  # random weights: nothing of them has to be preserved
    assert found["lora (rank=2)"] == {"rank": 2}
