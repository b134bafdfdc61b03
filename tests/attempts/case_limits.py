"""One hostile thing, tried in a child process with limits on its time and memory."""

import os
import pickle
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inarch import InarchError

SECONDS = 60
MEMORY = 2 << 30
"""Bytes that a trial may take beyond what the process holds already."""
_BEYOND = ("MemoryError", "allocate memory", "memory allocation")
_CONTRACT = (InarchError, ValueError, OSError)
"""What a transform may raise, and all that anything else may: `tried` says which is meant."""


def tried(action: Callable[[], Any], *, raises: Any = InarchError, seconds: int = SECONDS) -> str:
    """Return the message that an action ends with, or "" if it succeeds.

    Any other exception, a message of several lines or with control characters, too much time or memory, is an
    AssertionError.
    """
    told = _in_child(lambda: _message(action, raises), seconds)
    assert told.isprintable(), ascii(told)
    assert not any(word in told for word in _BEYOND), told
    return told


def read(raw_action: Callable[[], Any], seconds: int = SECONDS) -> str:
    """Do the same with what may raise ValueError or OSError, to which the core adds file and row."""
    return tried(raw_action, raises=_CONTRACT, seconds=seconds)


def _message(action: Callable[[], Any], raises: Any) -> str:
    try:
        action()
    except raises as error:
        return str(error) if isinstance(error, InarchError) else str(InarchError(str(error)))
    return ""


def _in_child(action: Callable[[], str], seconds: int) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _limited(action, seconds, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    assert ended != -signal.SIGALRM, f"took more than {seconds} s"
    assert ended == 0, f"ended with {ended}"
    good, told = pickle.loads(answer)
    assert good, told
    return str(told)


def _limited(action: Callable[[], str], seconds: int, pipe: int) -> None:
    try:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(seconds)
        answer = True, action()
    except BaseException:
        answer = False, traceback.format_exc()[-2000:]
    with os.fdopen(pipe, "wb") as out:
        out.write(pickle.dumps(answer))
    os._exit(0)


def counted(fuzz: Callable[[], int], folder: Path) -> int:
    """Return how many inputs were tried, all of them under the limits of one."""

    def run() -> None:
        (folder / "tried").write_text(str(fuzz()))

    assert tried(run, seconds=3600) == ""
    return int((folder / "tried").read_text())
