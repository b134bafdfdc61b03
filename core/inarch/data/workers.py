"""Worker processes that die: one clear error, wherever the run is at that moment. And their end with the run's."""

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.util import Finalize
from types import FrameType

from inarch.errors import RunError


@contextmanager
def deaths_told(workers: int) -> Iterator[None]:
    """Raise RunError for what torch raises of a worker that died."""
    try:
        yield
    except RuntimeError as error:
        reason = _reason(error)
        if reason is None:
            raise
        if isinstance(error.__cause__, RunError):  # from the handler below
            raise error.__cause__ from error
        raise RunError(_told(reason, workers)) from error


def tell_deaths(workers: int) -> None:
    """Let torch's handler of SIGCHLD, which raises wherever the main thread is, raise what `deaths_told` does.

    Call it when workers have been started.
    """
    _end_with_process(os.getpid())
    before = signal.getsignal(signal.SIGCHLD)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        return
    torchs = before.before if isinstance(before, _Handler) else before
    signal.signal(signal.SIGCHLD, _Handler(torchs, workers))


class _Handler:
    def __init__(self, before: object, workers: int) -> None:
        self.before, self.workers = before, workers

    def __call__(self, number: int, frame: FrameType | None) -> None:
        assert callable(self.before)
        try:
            self.before(number, frame)
        except RuntimeError as error:
            reason = _reason(error)
            if reason is None:
                raise
            raise RunError(_told(reason, self.workers)) from error


def _reason(error: RuntimeError) -> str | None:
    """Return how a worker died, or None if an error speaks of something else."""
    found = re.search(r"DataLoader worker \(pid.*?\) (?:is )?([a-z].+?)(?:\. |\.?$)", str(error))
    return found.group(1) if found else None


def _told(reason: str, workers: int) -> str:
    if "Bus error" in reason:
        cure = "the shared memory was full: give /dev/shm more (docker run --shm-size), or"
    else:
        cure = "often the memory was full, and the system ended it: it takes less to"
    fewer = f"read with fewer processes (train.workers={workers // 2}, it was {workers})"
    return f"a process that reads data died ({reason}); {cure} {fewer}. Continue with --resume"


@cache
def _end_with_process(process: int) -> None:
    """Let workers that are still there when a process ends be killed: they do not get python's SIGTERM."""
    Finalize(None, _kill, exitpriority=1)


def _kill() -> None:
    readers = [process for process in multiprocessing.active_children() if process.daemon]
    if readers:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or torch would call each an accident
    for process in readers:
        process.kill()
