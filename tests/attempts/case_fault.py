"""Faults of the disk, real where they can be, in a process of its own; and what a run does after each."""

import ctypes
import errno
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.truncate")
"""Audit events of what changes a disk; all but fsync, which has none."""


class Fault(NamedTuple):
    """What happens before the `number`th change below a folder, from 1."""

    what: str
    """`die`: SIGKILL. `fail`: the system refuses it. `cut`: no file may grow beyond `size`, or the process dies there.
    `full`: no file may grow beyond `size`. `locked`: the folder and those in it may not be written any more.
    `gone`: the folder is removed."""
    number: int
    size: int = 0


class Disk:
    """Counts the changes below a folder, and does what a fault says."""

    def __init__(self, root: Path, fault: Fault | None) -> None:
        self.root, self.fault, self.seen, self.busy = f"{root}", fault, list[str](), False
        sync = os.fsync

        def counted(descriptor: int) -> None:
            self("fsync", (os.readlink(f"/proc/self/fd/{descriptor}"),))  # noqa: PTH115
            sync(descriptor)

        os.fsync = counted
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.busy or (event not in CHANGES and event != "fsync"):
            return
        path = arguments[0] if isinstance(arguments[0], str | os.PathLike) else ""
        if event == "open" and not (arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
        inside = event in ("os.remove", "os.rmdir") and arguments[1] != -1  # a step of removing a tree
        if not inside and not f"{path}".startswith(self.root):
            return
        self.seen.append(f"{event} {os.fspath(path).removeprefix(self.root)}")
        if self.fault and len(self.seen) == self.fault.number:
            self.busy = True
            FAULTS[self.fault.what](Path(self.root), self.fault.size)
            self.busy = False


def _die(root: Path, size: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail(root: Path, size: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _cut(root: Path, size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _full(root, size)


def _full(root: Path, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _locked(root: Path, size: int) -> None:
    obey_modes()
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        folder.chmod(0o500)


def _gone(root: Path, size: int) -> None:
    root.rename(root.with_name(f"{root.name}, gone"))


FAULTS: dict[str, Callable[[Path, int], None]] = {
    "die": _die, "fail": _fail, "cut": _cut, "full": _full, "locked": _locked, "gone": _gone,
}  # fmt: skip


def obey_modes() -> None:
    """Let the system heed the modes of files for root, too: give up the capabilities to override them (capset)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    system = ctypes.CDLL(None, use_errno=True)
    assert system.capget(header, sets) == 0
    for index in (0, 1):  # effective, permitted; CAP_DAC_OVERRIDE is 1, CAP_DAC_READ_SEARCH 2
        sets[index] &= ~0b110
    assert system.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


def may_mount() -> bool:
    """Say whether this process may mount file systems that no other process sees; if not, people are told."""
    child = os.fork()
    if child == 0:
        os._exit(ctypes.CDLL(None).unshare(0x20000) != 0)  # CLONE_NEWNS
    allowed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    if not allowed:
        print("faults: left out, for it needs root: a file system without room", file=sys.stderr)
    return allowed


def mounted(place: Path, options: str) -> None:
    """Mount a file system in memory, for this process and its children alone, or change how it is mounted."""
    if "remount" not in options:
        assert ctypes.CDLL(None).unshare(0x20000) == 0
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    """Exit code, or minus the signal."""
    told: str
    """What it said; of a user's error, the message."""


def apart(action: Callable[[], object], folder: Path) -> Ended:
    """Do something in a forked process: 0 if it returned, 2 if it raised an InarchError, 3 for anything else."""
    told = folder / "told.txt"
    told.write_bytes(b"")
    child = os.fork()
    if child == 0:
        code = 3
        try:
            code, text = _done(action)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            told.write_text(text)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), told.read_text())


def _done(action: Callable[[], object]) -> tuple[int, str]:
    try:
        return 0, f"{action() or ''}"
    except BaseException as error:
        from inarch.errors import InarchError

        return (2, f"{error}") if isinstance(error, InarchError) else (3, traceback.format_exc())


def changes(action: Callable[[], object], root: Path, folder: Path) -> list[str]:
    """Return every change that an action makes below a folder."""

    def counted() -> str:
        disk = Disk(root, None)
        action()
        disk.busy = True
        return "\n".join(disk.seen)

    ended = apart(counted, folder)
    assert ended.code == 0, ended.told
    return ended.told.splitlines()


def struck(action: Callable[[], object], root: Path, folder: Path, fault: Fault) -> Ended:
    """Do something while a fault strikes a folder."""

    def faulty() -> object:
        Disk(root, fault)
        return action()

    return apart(faulty, folder)
