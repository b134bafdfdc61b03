"""One run at a time in a directory: a lock that goes with the process that holds it.

It is a POSIX record lock on DIRECTORY/.lock. Forked loader workers do not inherit it, so that a run killed by SIGKILL
can be resumed at once, even while its orphaned workers still end. NFS 4, and NFS 3 with its lock service, keep it for
all machines; Lustre does if mounted with `flock`, and with `localflock`, as sshfs, for each machine alone. Where a file
system knows no locks, nothing stops a second run: that is said, and the run goes on.
"""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Lock

from inarch.errors import RunError

NAME = ".lock"
_BUSY = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)
_held: set[tuple[int, int, int]] = set()  # process, device, inode: record locks of one process never refuse each other
_one_thread = Lock()


@contextmanager
def locked(directory: Path, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a run directory, made if it is missing; raise RunError if another process, or this one, holds it already.

    Of a group of processes the first one takes the lock, the others nothing. say: is told if there are no locks.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    path, found = directory / NAME, directory.exists()
    with _one_thread:
        descriptor, note = _take(path)
        place = (os.getpid(), *_inode(os.fstat(descriptor)))
        _held.add(place)
    try:
        if note and say:
            say(note)
        yield
    finally:
        with suppress(OSError):  # a file without a lock is no hindrance
            if _inode(path.stat()) == place[1:]:  # else the directory went, and the lock with it
                path.unlink()
                if (
                    not found
                ):  # of what was refused before it began, nothing is left; rmdir removes no folder with content
                    directory.rmdir()
        os.close(descriptor)
        _held.discard(place)


def _take(path: Path) -> tuple[int, str | None]:
    """Return the open and locked file, and a sentence if there are no locks."""
    try:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and (os.getpid(), *_inode(path.stat())) in _held:  # to open and close it would unlock it
                raise RunError(_refusal(path, f"this process, {os.getpid()}"))
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except FileNotFoundError:  # its holder ended, and removed the directory that it had made
                continue
            note = _lock(path, descriptor)
            if path.exists() and _inode(path.stat()) == _inode(os.fstat(descriptor)):
                break
            os.close(descriptor)  # its holder ended, and removed it, between the two
        about = {"process": os.getpid(), "host": socket.gethostname(), "since": datetime.now().astimezone().isoformat()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(about).encode(), 0)
    except OSError as error:
        raise RunError(f"{error.filename or path}: {error.strerror or error}") from None
    return descriptor, note


def _lock(path: Path, descriptor: int) -> str | None:
    """Lock an open file; raise RunError if another process has."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return f"{path}: no locks here ({error.strerror}): nothing will stop a second run in this directory"
        about = os.pread(descriptor, 4096, 0)
        os.close(descriptor)
        if error.errno in _BUSY:
            raise RunError(_refusal(path, _holder(about))) from None
        raise
    return None


def _holder(about: bytes) -> str:
    try:
        found = json.loads(about)
        since = datetime.fromisoformat(found["since"]).isoformat(" ", "seconds")
        return f"process {found['process']} on {found['host']} since {since}"
    except (ValueError, KeyError, TypeError):  # it has only just taken the lock
        return "another process"


def _refusal(path: Path, holder: str) -> str:
    return f"{path.parent} is in use by {holder}; wait until it has ended, stop it, or choose another --out"


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
