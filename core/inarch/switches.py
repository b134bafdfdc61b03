"""Plugins that somebody disabled, by name: for a user, or for everybody in an environment. Reads metadata of no plugin.

    $XDG_CONFIG_HOME/inarch/disabled-plugins    of the user; ~/.config where the variable is not set
    <sys.prefix>/etc/inarch/disabled-plugins    of the (virtual) environment

Each file holds a name a line.
"""

import fcntl
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inarch.errors import PluginError

FILE = "inarch/disabled-plugins"


def places() -> dict[str, Path]:
    """Return where names are kept, by whom they are for."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return {"user": home / FILE, "environment": Path(sys.prefix, "etc", FILE)}


def disabled() -> dict[str, list[Path]]:
    """Return the disabled names, each with the files that say so; of a file that cannot be read it is said."""
    found: dict[str, list[Path]] = {}
    for path in places().values():
        try:
            names = _read(path)
        except PluginError as error:  # or nothing would work, not even what mends it
            logging.getLogger("inarch").warning("%s. All are used", error)
            continue
        for name in names:
            found.setdefault(name, []).append(path)
    return found


def disable(name: str, whose: str) -> Path:
    """Write a name down, for the "user" or the "environment"; return where."""
    path = places()[whose]
    with _alone(path):
        _write(path, {*_read(path), name})
    return path


def enable(name: str) -> list[Path]:
    """Take a name out of every file that holds it; return these."""
    found = disabled().get(name, [])
    for path in found:
        with _alone(path):
            _write(path, set(_read(path)) - {name})
    return found


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise PluginError(
            f"{path}: the names of disabled plugins cannot be read: {error.strerror}; remove or mend it"
        ) from error
    return [line.strip() for line in lines if line.strip()]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other process change a file between reading and writing it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise PluginError(f"{path}: the names of disabled plugins cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, names: set[str]) -> None:
    """Write the file whole, so that nobody reads half of it."""
    written = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        written.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")
        written.replace(path)
    except OSError as error:
        raise PluginError(f"{path}: the names of disabled plugins cannot be written: {error.strerror}") from error
