"""Everything that a run left behind can be hashed again; what is damaged or missing is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import RECIPE, write_vectors

import inarch
from inarch.errors import RunError
from inarch.workflows.compare import compare
from inarch.workflows.evaluate import evaluate_run
from inarch.workflows.verify import Verified, verify


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "toy.yaml").write_text(RECIPE.format(path=write_vectors(folder / "vectors.csv")))
    inarch.train(folder / "toy.yaml", out=folder / "run")
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def wrong(seen: Verified) -> list[str]:
    return [f"{part.what}: {reason}" for part in seen.parts for reason in part.wrong]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_what_a_run_left_is_whole_and_nothing_is_left_out(run: Path) -> None:
    seen = verify(run)
    assert (seen.kind, seen.finished, seen.whole, seen.notes) == ("run", True, True, [])
    assert [part.what for part in seen.parts] == [
        "records",
        "predictions",
        "model",
        "checkpoints/step-00000006",
        "checkpoints/step-00000012",
    ]
    held = [path for path in run.rglob("*") if path.is_file()]
    manifest = run / "manifest.json"
    assert sum(part.files for part in seen.parts) == len(held) - 1
    assert sum(part.bytes for part in seen.parts) == sum(path.stat().st_size for path in held if path != manifest)


def test_a_flipped_bit_in_any_file_is_found(run: Path) -> None:
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        before = path.read_bytes()
        flip(path)
        assert not verify(run).whole, path
        path.unlink()
        if path.name != "manifest.json" or path.parent != run:
            assert any("missing" in reason or "no valid manifest" in reason for reason in wrong(verify(run))), path
        path.write_bytes(before)
    assert verify(run).whole


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: flip(run / "predictions" / "test.jsonl"), "predictions: predictions/test.jsonl does not match"),
        (lambda run: (run / "report.html").unlink(), "records: report.html is missing"),
        (lambda run: flip(run / "model" / "model.safetensors"), "model: model.safetensors does not match its hash"),
        (lambda run: shutil.rmtree(run / "model"), "model: model/manifest.json is missing"),
        (lambda run: (run / "recipe.yaml").unlink(), "records: recipe.yaml is missing"),
        (lambda run: (run / "manifest.json").write_text("{"), "manifest.json: cannot be read"),
        (lambda run: (run / "results.json").write_text("{}"), "records: results.json has 2 bytes instead of"),
    ],
)
def test_damage_is_named(run: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(run)
    [reason] = wrong(verify(run))
    assert said in reason


def test_checkpoints_may_be_removed_and_files_may_be_added(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "notes.txt").touch()
    (run / "tensorboard").mkdir()
    (run / "model" / "extra").touch()
    seen = verify(run)
    assert seen.whole
    assert seen.notes == ["nothing vouches for model/extra, notes.txt, tensorboard/"]


def test_an_evaluation_adds_its_predictions_and_vouches_for_nothing_else(run: Path) -> None:
    evaluate_run(run, "train")
    assert verify(run).whole
    assert "predictions/train.jsonl" in json.loads((run / "manifest.json").read_text())["files"]
    flip(run / "predictions" / "test.jsonl")
    evaluate_run(run, "valid")
    assert wrong(verify(run)) == ["predictions: predictions/test.jsonl does not match its hash"]
    evaluate_run(run, "test")
    assert verify(run).whole


def test_a_run_that_has_not_ended_is_read_as_far_as_it_is_known(run: Path) -> None:
    for name in ("manifest.json", "results.json", "report.html"):
        (run / name).unlink()
    (run / ".model.0123abcd").mkdir()
    (run / ".lock").touch()
    seen = verify(run)
    assert seen.whole and not seen.finished
    assert [note.split(":")[0].split(",")[0] for note in seen.notes] == [
        "has not ended",
        "is in use right now",
        "1 left by a crash",
    ]
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": ')
    flip(run / "checkpoints" / "step-00000006" / "state.json")
    assert [reason.split(":")[0] for reason in wrong(verify(run))] == ["records", "checkpoints/step-00000006"]


def test_a_run_that_goes_on_counts_as_not_ended_until_it_has(run: Path, finished: Path) -> None:
    recipe = finished.parent / "toy.yaml"
    (run / "checkpoints" / "step-00000012").rename(run / "broken")
    with pytest.raises(RunError):
        inarch.train(recipe, {"train.epochs": 3}, out=run, resume=True)
    assert verify(run).finished
    inarch.train(recipe, out=run, resume=True)
    assert verify(run).finished and verify(run).whole


def test_a_comparison_answers_for_its_cells(finished: Path, tmp_path: Path) -> None:
    place = tmp_path / "comparison"
    compare(finished.parent / "toy.yaml", "full,linear_probe", seeds=1, out=place)
    seen = verify(place)
    assert (seen.kind, seen.finished, seen.whole) == ("comparison", True, True)
    assert [part.what for part in seen.parts] == ["records", "cells/full/seed-0", "cells/linear_probe/seed-0"]
    flip(place / "cells" / "full" / "seed-0" / "model" / "bundle.json")
    shutil.rmtree(place / "cells" / "linear_probe")
    first, second = wrong(verify(place))
    assert "cells/full/seed-0: model: bundle.json does not match" in first
    assert second == "cells/linear_probe/seed-0: cells/linear_probe/seed-0 is missing"


def test_the_command_line_says_it_in_short(run: Path, tmp_path: Path, inarch, refused) -> None:
    found = inarch("verify", run)
    assert found.returncode == 0, found.stderr
    assert "run: whole; a run, 19 files" in found.stdout and found.stdout.count(" ok\n") == 5
    (run / "report.html").unlink()
    found = inarch("verify", run)
    assert found.returncode == 1
    assert "report.html is missing" in found.stdout and "1 damaged or missing" in found.stdout
    seen = json.loads(inarch("verify", run, "--json").stdout)
    assert (seen["whole"], seen["kind"], seen["parts"][0]["wrong"]) == (False, "run", ["report.html is missing"])
    assert inarch("verify", run / "model").stdout.startswith("  bundle")
    assert "no run here" in refused("verify", tmp_path)
