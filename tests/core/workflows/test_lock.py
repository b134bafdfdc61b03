"""Of two runs in one directory the second stops, and the first does not notice."""

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from inarch.errors import RunError
from inarch.workflows import directory as directories

FORK = multiprocessing.get_context("fork")


def hold(directory: Path, worker: bool = False) -> None:
    """Hold the lock until killed; with a forked worker that outlives this process."""
    with directories.locked(directory):
        if worker:
            forked = os.fork()
            if not forked:
                time.sleep(60)
                os._exit(0)
            (directory / "worker").write_text(str(forked))
        (directory / "held").touch()
        time.sleep(60)


def started(directory: Path, worker: bool = False) -> multiprocessing.process.BaseProcess:
    """Return a process that holds a directory."""
    process = FORK.Process(target=hold, args=(directory, worker))
    process.start()
    deadline = time.monotonic() + 20
    while not (directory / "held").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    return process


def test_the_second_is_told_who_holds_the_directory_and_the_first_goes_on(tmp_path: Path) -> None:
    first = started(tmp_path / "run")
    before = (tmp_path / "run" / ".lock").read_bytes()
    for _ in range(2):
        with pytest.raises(RunError) as told, directories.locked(tmp_path / "run"):
            raise AssertionError("two processes hold it")
        holder = f"process {first.pid} on {socket.gethostname()} since 2"
        assert f"{tmp_path / 'run'} is in use by {holder}" in str(told.value)
        assert "choose another --out" in str(told.value)
    assert (tmp_path / "run" / ".lock").read_bytes() == before and first.is_alive()
    first.kill()
    first.join()
    with directories.locked(tmp_path / "run"):
        pass


def test_a_process_does_not_hold_a_directory_twice(tmp_path: Path) -> None:
    with directories.locked(tmp_path):
        with pytest.raises(RunError, match=f"in use by this process, {os.getpid()}"), directories.locked(tmp_path):
            raise AssertionError("held twice")
        with pytest.raises(RunError, match="in use"), directories.locked(tmp_path):
            raise AssertionError("the refusal let go of it")
        other = FORK.Process(target=refused, args=(tmp_path,))
        other.start()
        other.join()
        assert other.exitcode == 0, "the refusal let go of it"


def refused(directory: Path) -> None:
    with pytest.raises(RunError, match="in use"), directories.locked(directory):
        raise AssertionError("two processes hold it")


def test_a_killed_holder_is_followed_at_once_although_its_worker_still_lives(tmp_path: Path) -> None:
    first = started(tmp_path, worker=True)
    worker = int((tmp_path / "worker").read_text())
    first.kill()
    first.join()
    try:
        with directories.locked(tmp_path):
            assert Path("/proc", str(worker)).exists() and (tmp_path / ".lock").exists()
    finally:
        os.kill(worker, signal.SIGKILL)


def test_nothing_is_left_of_a_lock_that_was_let_go(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("old", "new"):
        with directories.locked(tmp_path / name):
            assert [path.name for path in (tmp_path / name).iterdir()] == [".lock"]
    assert list((tmp_path / "old").iterdir()) == [] and not (tmp_path / "new").exists()


def test_many_processes_never_hold_it_together(tmp_path: Path) -> None:
    """The file is removed each time it is let go, while the others open and lock it."""
    processes = [FORK.Process(target=hold_often, args=(tmp_path / "run", tmp_path / "inside")) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


def hold_often(directory: Path, inside: Path) -> None:
    held = 0
    while held < 100:
        try:
            with directories.locked(directory):
                inside.mkdir()  # fails if another is inside
                inside.rmdir()
                held += 1
        except RunError:
            continue


def test_only_the_first_of_a_group_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with directories.locked(tmp_path):
        monkeypatch.setenv("RANK", "1")
        with directories.locked(tmp_path):
            monkeypatch.undo()
        assert (tmp_path / ".lock").exists()  # the first one holds it still


def test_a_file_system_without_locks_is_told_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", none)
    told: list[str] = []
    with directories.locked(tmp_path, told.append):
        assert "nothing will stop a second run" in told[0] and str(tmp_path) in told[0]


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file"), directories.locked(tmp_path / "file"):
        raise AssertionError("held")


def test_a_directory_that_vanishes_is_let_go(tmp_path: Path) -> None:
    with directories.locked(tmp_path / "run"):
        (tmp_path / "run" / ".lock").unlink()
        (tmp_path / "run").rmdir()
    assert not (tmp_path / "run").exists()
