"""Promise 2, crash-safe checkpoints."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import TOY
from safetensors.torch import save_file

import inarch
from inarch import checkpoint


def write(final: Path, text: str) -> None:
    with checkpoint.written_atomically(final) as aside:
        (aside / "a").write_text(text)


def test_every_file_is_synced_then_the_manifest_then_one_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, rename = os.fsync, Path.rename

    def noted_sync(descriptor: int) -> None:
        events.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name.split(".")[0])
        sync(descriptor)

    def noted_rename(path: Path, target: Path) -> Path:
        events.append(f"rename to {target.name}, manifest {(path / 'manifest.json').exists()}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    write(tmp_path / "final", "text")
    assert events == ["sync a", "sync manifest", "sync ", "rename to final, manifest True", f"sync {tmp_path.name}"]


def test_whoever_may_read_the_directory_may_read_what_is_in_it(tmp_path: Path) -> None:
    """safetensors makes files that only their owner reads; a bundle is for others too."""
    with checkpoint.written_atomically(tmp_path / "final") as aside:
        save_file({"a": torch.zeros(1)}, aside / "a.safetensors")
    modes = {path.stat().st_mode & 0o666 for path in [tmp_path / "final", *(tmp_path / "final").iterdir()]}
    assert len(modes) == 1


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_write_that_fails_leaves_what_was_there_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    write(tmp_path / "step-00000001", "good")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "rename")), full)
        with pytest.raises(inarch.RunError, match=r"No space left on device.*--resume"):
            write(tmp_path / "step-00000002", "bad")
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoint.problem(tmp_path / "step-00000001") is None


def test_a_disk_that_takes_no_more_is_one_error_and_leaves_nothing_half_written(
    toy_recipe: Path, tmp_path: Path
) -> None:
    """A real failure of a real write: the system refuses files beyond a size."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    command = [sys.executable, "-m", "inarch", "train", toy_recipe, "backbone.width=200", "--out", "run"]
    ended = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(TOY)}, preexec_fn=limit, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "could not be written" in ended.stderr and "--resume" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


def test_the_best_and_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in range(1, 8):
        write(checkpoint.step_directory(tmp_path, step), str(step))
    (tmp_path / ".step-00000009.0123abcd").mkdir()
    checkpoint.clean(tmp_path, 7, [3, None])
    assert sorted(path.name[-1] for path in tmp_path.iterdir()) == ["3", "6", "7"]


def test_broken_checkpoints_of_later_steps_do_not_push_out_the_one_just_written(tmp_path: Path) -> None:
    """The two newest broke, and the run went on from the one before, or from the beginning."""
    for step in (1, 5, 6):
        write(checkpoint.step_directory(tmp_path, step), str(step))
    for step in (5, 6):
        (checkpoint.step_directory(tmp_path, step) / "a").write_text("broken")
    write(checkpoint.step_directory(tmp_path, 2), "2")
    checkpoint.clean(tmp_path, 2, [])
    assert checkpoint.newest_good(tmp_path) == (checkpoint.step_directory(tmp_path, 2), [])
    assert sorted(path.name[-1] for path in tmp_path.iterdir()) == ["1", "2"]


def test_a_checkpoint_whose_bundle_would_be_made_of_a_broken_one_is_passed_over(tmp_path: Path) -> None:
    steps = [checkpoint.step_directory(tmp_path, step) for step in (1, 2, 3)]
    for step, needs in zip(steps, ([], [steps[1].name], [steps[1].name, steps[2].name]), strict=True):
        with checkpoint.written_atomically(step, needs) as aside:
            (aside / "a").write_text(step.name)
    assert checkpoint.newest_good(tmp_path) == (steps[2], [])
    (steps[1] / "a").unlink()
    found, passed_over = checkpoint.newest_good(tmp_path)
    assert found == steps[0]
    assert f"{steps[2]} needs {steps[1].name}, which is broken, and was passed over" in passed_over[0]
    assert f"{steps[1]} is broken and was passed over" in passed_over[1]


def test_what_is_replaced_is_put_back_after_a_crash_between_the_two_renames(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    (tmp_path / "model").rename(tmp_path / ".model.before")
    (tmp_path / ".model.0123abcd").mkdir()
    (tmp_path / ".metrics.jsonl.0123abcd").touch()
    (tmp_path / ".hidden").touch()
    checkpoint.mend(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "model"]
    assert checkpoint.problem(tmp_path / "model") is None
    shutil.copytree(tmp_path / "model", tmp_path / ".model.before")
    write(tmp_path / "model", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "model"]
    assert (tmp_path / "model" / "a").read_text() == "new"


def test_a_failure_to_replace_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "model", "old")
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if target.name == "model" and not path.name.endswith(".before"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(inarch.RunError, match="untouched"):
        write(tmp_path / "model", "new")
    assert (tmp_path / "model" / "a").read_text() == "old" and checkpoint.problem(tmp_path / "model") is None
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_vanished_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(inarch.RunError, match="is gone"):
        write(tmp_path / "run" / "checkpoints" / "step-00000001", "text")
    with pytest.raises(inarch.RunError, match=f"{tmp_path / 'run'} is gone"):
        checkpoint.write_atomically(tmp_path / "run" / "metrics.jsonl", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_run_keeps_its_best_checkpoint_and_bundles_it(toy_recipe: Path, tmp_path: Path) -> None:
    options = {"train.epochs": 8, "train.learning_rate": 0.5, "train.schedule": "constant", "train.clip": None}
    result = inarch.train(toy_recipe, options, out=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    best = min(lines, key=lambda line: line["valid"]["loss"])
    assert result.best_step == best["step"]
    kept = {int(path.name[-8:]) for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert kept == {best["step"], *(line["step"] for line in lines[-2:])}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: (d / "a").write_text("bigger than it was"), "bytes instead of"),
        (lambda d: (d / "a").write_text("tex7"), "does not match its hash"),
        (lambda d: (d / "a").unlink(), "a is missing"),
        (lambda d: (d / "manifest.json").write_text("{"), "no valid manifest or file"),
        (lambda d: (d / "manifest.json").write_text("[]"), "no valid manifest or file"),
    ],
)
def test_every_kind_of_damage_is_seen(tmp_path: Path, damage: "pytest.FixtureRequest", said: str) -> None:
    write(tmp_path / "step-00000001", "text")
    write(tmp_path / "step-00000002", "text")
    assert checkpoint.newest_good(tmp_path) == (tmp_path / "step-00000002", [])
    damage(tmp_path / "step-00000002")
    found, passed_over = checkpoint.newest_good(tmp_path)
    assert found == tmp_path / "step-00000001"
    assert len(passed_over) == 1 and said in passed_over[0]


def test_a_text_file_holds_the_old_text_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text"
    checkpoint.write_atomically(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(inarch.RunError, match="No space left") as told:
        checkpoint.write_atomically(path, "new")
    assert "--resume" not in str(told.value)  # not every text belongs to a training
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("text", "old")]
