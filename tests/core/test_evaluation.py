"""Promise 3, exact metrics: every example counts once, for any number of processes, batch size and length."""

import json
from pathlib import Path

import pytest
from accelerate import Accelerator
from group import run_group

import inarch

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        from group_evaluation import evaluations

        folder = tmp_path_factory.mktemp("alone")
        evaluations(Accelerator(cpu=True), folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("processes", [2, 3])
def test_predictions_and_figures_are_the_same_bytes_for_any_number_of_processes(
    alone: Path, tmp_path: Path, processes: int
) -> None:
    run_group(HERE / "group_evaluation.py", processes, tmp_path)
    assert len(contents(alone)) == 19 * 6 + 1
    assert contents(tmp_path) == contents(alone)


def test_every_row_is_predicted_once_or_reported_as_skipped(alone: Path) -> None:
    figures = json.loads((alone / "figures.json").read_text())
    for name, (_, _, skipped) in figures.items():
        length = int(name.split("-")[0])
        rows = [json.loads(line)["row"] for line in (alone / f"{name}.jsonl").read_text().splitlines()]
        assert rows == [row for row in range(length) if row != 4]
        assert len(skipped) == (length > 4)


def test_accuracy_is_the_share_of_right_predictions_whatever_the_batch_size(alone: Path) -> None:
    figures = json.loads((alone / "figures.json").read_text())
    for name, (_, accuracy, _) in figures.items():
        lines = [json.loads(line) for line in (alone / f"{name}.jsonl").read_text().splitlines()]
        assert accuracy == pytest.approx(sum(line["class"] == line["target"] for line in lines) / len(lines))


def test_a_split_of_which_nothing_can_be_read_is_an_error(toy_recipe: Path, tmp_path: Path, vectors: Path) -> None:
    broken = tmp_path / "test.csv"
    broken.write_text("vector,class\n1 2,warm\n3,cold\n")
    options = {"dataset.name": "table", "dataset.path": {"train": str(vectors), "test": str(broken)},
               "on_error": "skip", "error_limit": 1.0}  # fmt: skip
    with pytest.raises(inarch.DataError, match="no example of the split could be read"):
        inarch.train(toy_recipe, options, out=tmp_path / "run")
