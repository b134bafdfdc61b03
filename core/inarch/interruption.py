"""SIGTERM and SIGINT: work that has a state to write goes on to where it can; anything else stops at once.

A batch system, Kubernetes and Ctrl-C ask in the same way. The first signal ends the work in order, with exit code 143
or 130; a second one ends the process at once, even where it waits in another library for a process that is gone.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PATIENCE = 20.0
"""Seconds in which the main thread may notice a signal; batch systems and launchers kill after 30."""


class Interrupted(KeyboardInterrupt):
    """A signal asked for an end; what there was to write is written."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class _Signals:
    asked: int | None = None
    """The signal that asked for an end."""
    deferred = False
    """Whether somebody looks at `asked` soon."""
    heeded = False
    readers = False
    """Whether processes that are forked now read for this one."""


def asked() -> int | None:
    """Return the signal that asked for an end, if one did."""
    return _Signals.asked


@contextmanager
def heeded() -> Iterator[None]:
    """Turn signals into Interrupted while the block runs; only the main thread can, and the outermost block does."""
    if _Signals.heeded or threading.current_thread() is not threading.main_thread():
        yield
        return
    _Signals.heeded, _Signals.asked = True, None
    before = {number: signal.signal(number, _note) for number in SIGNALS}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    waker = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(waker)
        os.close(writer)  # which ends the thread
        for number, handler in before.items():
            signal.signal(number, handler)
        _Signals.heeded = False


@contextmanager
def deferred(defer: bool = True) -> Iterator[None]:
    """While the block runs, a signal is only noted, for `asked` to tell; with False inside it, it is raised again."""
    before, _Signals.deferred = _Signals.deferred, defer
    try:
        if not defer and _Signals.asked is not None:
            raise Interrupted(_Signals.asked)
        yield
    finally:
        _Signals.deferred = before


@contextmanager
def starting_readers() -> Iterator[None]:
    """Processes that are forked in the block never get SIGTERM: some systems send it to every process of a run.

    Their parent still needs what they read, to end where all processes of the run agree to; then it ends them.
    """
    _Signals.readers = True
    try:
        yield
    finally:
        _Signals.readers = False


def end_with_parent() -> None:
    """Let the system end this process when the one that started it is gone; of Linux (prctl, PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _note(number: int, frame: FrameType | None) -> None:
    _Signals.asked = _Signals.asked or number
    if not _Signals.deferred:
        raise Interrupted(_Signals.asked)


def _watch(reader: int) -> None:
    """Count signals as the system delivers them, whatever the main thread is doing; at the second one, exit.

    Exit too if the main thread has not noticed the first one for a while: it waits in another library, perhaps for a
    process that is gone, and python cannot reach it there.
    """
    first = 0
    while True:
        ready, _, _ = select([reader], [], [], PATIENCE if first and _Signals.asked is None else None)
        received = os.read(reader, 1) if ready else bytes([first])
        if not received:
            break
        if received[0] in SIGNALS and first and (ready or _Signals.asked is None):
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # a progress bar may have hidden the cursor
            os._exit(128 + received[0])
        first = first or (received[0] if received[0] in SIGNALS else 0)
    os.close(reader)


def _hold() -> None:
    """Let no signal come while a process forks: the child would still speak for its parent."""
    if _Signals.heeded:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _let_go() -> None:
    if _Signals.heeded:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _forget() -> None:
    """Let a forked process be ended by its parent, and not by the terminal."""
    if _Signals.heeded:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not _Signals.readers:  # torch gives its own handler to them, but a blocked signal waits for ever
            _let_go()
        _Signals.heeded = _Signals.deferred = False
        _Signals.asked = None


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_forget)
