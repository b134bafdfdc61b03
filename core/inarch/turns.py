"""What a machine fetches once, however many processes want it: one fetches it, the others find it in its cache."""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

FIRST_NOTICE, NOTICE = 5.0, 60.0
"""Seconds after which a process says for what it waits, and says so again."""


def cache_folder() -> Path:
    """Return where inarch keeps what can be made again: $INARCH_CACHE, else the user's cache folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inarch"
    return Path(os.environ.get("INARCH_CACHE") or home)


@contextmanager
def turn(what: str) -> Iterator[None]:
    """Let one process of this machine at a time do what needs `what`, until one has done it; then all at once.

    For what a library keeps in a cache of its own. Who ends, even killed, gives way to the next. Where no lock can be
    had, all go at once: libraries fetch safely, but each for itself.
    """
    from filelock import FileLock  # takes as long to import as all plugins

    began = time.time_ns()
    place = cache_folder() / "turns" / hashlib.sha256(what.encode()).hexdigest()[:32]
    lock, holder, done = (FileLock(place.with_suffix(".lock")), *map(place.with_suffix, (".holder", ".done")))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _wait(lock, holder, what)
        if not done.exists() or done.stat().st_mtime_ns < began:
            holder.write_text(str(os.getpid()), encoding="utf-8")
        else:
            lock.release()
    except (OSError, NotImplementedError):
        lock.release()
    try:
        yield
        if lock.is_locked:
            with suppress(OSError):
                done.touch()
                os.utime(done)
    finally:
        lock.release()


def _wait(lock: "FileLock", holder: Path, what: str) -> None:
    from filelock import Timeout

    patience = FIRST_NOTICE
    while True:
        try:
            lock.acquire(timeout=patience)
            return
        except Timeout:
            process = holder.read_text(encoding="utf-8") if holder.exists() else "another"
            logging.getLogger("inarch").warning("waiting for process %s, which fetches %s", process, what)
            patience = NOTICE
