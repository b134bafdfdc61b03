"""Where files are: a path, or ``package:DIST/FILE``, a file inside an installed Python package.

Light: finds the file by the distribution's metadata and never imports the package.
"""

import os
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path

from inarch.errors import InarchError, unknown

PREFIX = "package:"


def locate(address: str | Path, error: type[InarchError]) -> Path:
    """Return the path of an existing file or folder, or raise `error` saying what to install or where it looked."""
    text = str(address)
    if text.startswith(PREFIX):
        return _in_package(text, error)
    path = Path(os.path.expanduser(text))  # noqa: PTH111  (Path.expanduser raises for an unknown user)
    if not text or not os.path.exists(path):  # noqa: PTH110  (Path.exists raises for names that are too long)
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        close = get_close_matches(path.name, near, n=1)
        hint = f". Did you mean '{close[0]}'?" if close else ""
        raise error(f"{text or 'an empty path'}: there is no such file or folder{hint}")
    return path


def _in_package(address: str, error: type[InarchError]) -> Path:
    name, _, inside = address.removeprefix(PREFIX).partition("/")
    if not name or not inside or Path(inside).is_absolute() or ".." in Path(inside).parts:
        raise error(f"{address}: expected {PREFIX}DISTRIBUTION/FILE, a file inside an installed package")
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise error(f"{address}: the package '{name}' is not installed. Try: pip install --no-deps {name}") from None
    path = Path(str(distribution.locate_file(inside)))
    if not path.exists():
        files = [str(file) for file in distribution.files or []]
        raise error(f"{address}: {unknown('file', inside, files)}")
    return path
