"""Accidents that are not of the disk's making: a worker, another run, the clock, the data; and a disk without room."""

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

from attempts.case_fault import Ended, apart, mounted, obey_modes
from attempts.case_fault_runs import OPTIONS, goes_on, is_clear, train, undo, whole
from cuts import ending


def accidents(folder: Path) -> int:
    """A loader worker that dies, a directory that may only be read, and one that is in use; each is resumed."""
    whole(folder)
    run = folder / "run"
    worker = apart(lambda: train(folder, "run", {**OPTIONS, "train.workers": 2}, _kill_a_worker), folder)
    is_clear(worker, "a worker died")
    assert "a process that reads data died (killed by signal: Killed)" in worker.told, worker.told
    goes_on(folder, "a worker died")
    shutil.rmtree(run)
    run.mkdir(0o500)
    closed = apart(lambda: (obey_modes(), train(folder, "run")), folder)
    is_clear(closed, "a directory that may only be read")
    assert f"{run}" in closed.told and "Permission denied" in closed.told and not list(run.iterdir()), closed.told
    undo(run)
    seconds = list[Ended]()

    def as_written(path: Path) -> tuple[int, int, int]:
        found = path.stat()  # but not when it was read
        return found.st_ino, found.st_size, found.st_mtime_ns

    def second() -> None:
        before = {path: as_written(path) for path in run.rglob("*")}
        seconds.append(apart(lambda: train(folder, "run"), run.parent / "second"))
        assert {path: as_written(path) for path in run.rglob("*")} == before, "the second run touched the first"
        is_clear(seconds[0], "a directory in use")
        assert f"{run} is in use by process {os.getpid()}" in seconds[0].told, seconds[0]

    (folder / "second").mkdir()
    first = apart(lambda: train(folder, "run", OPTIONS, second), folder)
    assert first.code == 0, first
    goes_on(folder, "a second run was refused")
    return 3


def _kill_a_worker() -> None:
    os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
    time.sleep(10)  # as long as a step may take: the run hears of it at once


def clock(folder: Path) -> int:
    """Let the clock jump by ten years at every look, under a training that stores features; evict by times of use."""
    from inarch.features.store import Store

    options = {"strategy": "linear_probe", "train.epochs": 2}
    whole(folder, options)
    real = time.time

    def jumping() -> str:
        years = cycle([10, -10, -60])
        time.time = lambda: real() + next(years) * 365 * 86400
        return train(folder, "run", options)

    for _ in range(2):  # with features that are stored, and with none
        shutil.rmtree(folder / "run", ignore_errors=True)
        ended = apart(jumping, folder)
        assert ended.code == 0, ended
        assert ending(folder / "run") == ending(folder / "whole")
        shutil.rmtree(folder / "cache")
    store, times = Store(folder / "another cache"), [-2e9, 0.0, real() + 3e8, 4e9, real()]
    from stored import ABOUT, rows_of

    for number, used in enumerate(times):
        table = store.table({**ABOUT, "number": number})
        table.write(*rows_of(range(3)))
        os.utime(table.path / "table.json", (used, used))
    kept = [table.description["number"] for table in store.tables()]
    assert kept == [0, 1, 4, 2, 3], kept
    assert store.make_room(store.limit - 2 * store.tables()[0].size, None)
    assert [table.description["number"] for table in store.tables()] == [2, 3]
    return 2 + len(times)


def data_vanishes(folder: Path) -> int:
    """Take a photo away in the middle of a training, and put it back."""
    from attempts.case_small_runs import write

    written = write("vision", folder, {"strategy": "full", "train": {"workers": 0}})
    (folder / "vision.yaml").write_text(written.read_text())
    whole(folder, {})
    photos = folder / "photos"
    ended = apart(lambda: train(folder, "run", {}, lambda: photos.rename(folder / "away")), folder)
    is_clear(ended, "the photos vanished")
    assert "No such file" in ended.told and ".png" in ended.told, ended.told
    (folder / "away").rename(photos)
    goes_on(folder, "the photos are back", {})
    return 1


def no_room(folder: Path, sizes: Sequence[int]) -> int:
    """Train on a file system that is full at so many KB, and go on once it has room; needs root."""
    whole(folder)
    place, tried = folder / "small", 0
    for size in sizes:
        place.mkdir(exist_ok=True)
        ended = apart(partial(_in_little_room, folder, size), folder)
        assert ended.code == 0, f"{size} KB: {ended}"
        tried += 1
    return tried


def _in_little_room(folder: Path, size: int) -> None:
    small = folder / "small"
    mounted(small, f"size={size}k")
    (folder / "inner").mkdir(exist_ok=True)
    full = apart(lambda: train(folder, "small/run"), folder / "inner")
    is_clear(full, f"{size} KB")
    assert "No space left on device" in full.told, full
    mounted(small, "remount,size=100m")
    ended = apart(lambda: train(folder, "small/run"), folder / "inner")
    assert ended.code == 0, ended
    assert ending(small / "run") == ending(folder / "whole"), "other bits"
    mounted(small, "remount,ro")
    closed = apart(lambda: train(folder, "small/run"), folder / "inner")
    is_clear(closed, "read-only")
    assert "Read-only file system" in closed.told, closed
