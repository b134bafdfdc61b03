"""Predict: raw inputs to predictions, one batch in memory at a time."""

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from inarch import bundle
from inarch.data.reading import SUFFIXES, names_file, read_columns, whole_path
from inarch.errors import DataError, listing, unknown


def predict(directory: Path, inputs: Sequence[str], column: str | None = None) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield (input, prediction) for files, the files of folders, the rows of tables, and for - the lines of stdin.

    An input that cannot be read gives ``{"error": reason}`` and the rest goes on.
    """
    for name in inputs:
        if not name:
            raise DataError("an input is empty text; expected a file, a folder or a table")
        if name != "-" and not os.path.exists(name):  # noqa: PTH110  (Path.exists raises for names that are too long)
            raise DataError(
                f"{name[:200]}: there is no such file or folder; inputs themselves are read from -, a line each"
            )
    opened = bundle.load(directory)
    trained_on = opened.description["input"]
    if column and not isinstance(trained_on, str):
        raise DataError(f"--column is for models of one column; this one reads {listing(trained_on)}, by these names")
    trained_on = column or trained_on
    found = _expand(inputs, trained_on)
    first = list(islice(found, 1))
    if not first:
        raise DataError(f"{', '.join(inputs)}: there are no inputs")
    yield from opened.stream(chain(first, found), skip_unreadable=True)


def _expand(inputs: Sequence[str], column: str | list[str]) -> Iterator[Any]:
    for name in inputs:
        path = Path(name)
        if name == "-":
            yield from _lines()
        elif path.is_dir():
            yield from _files(name)
        elif path.suffix.lower() in SUFFIXES:
            yield from _rows(path, column)
        else:
            yield path


def _lines() -> Iterator[str]:
    """Yield the lines of standard input, which is UTF-8; other bytes become surrogates, which no backbone can read."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def _files(folder: str, seen: set[tuple[int, int]] | None = None) -> Iterator[Path]:
    """Yield the files below a folder as the file system lists them: sorting would hold a million names in memory.

    Links to folders are followed, but no folder is read twice (`seen`: device and inode): links among ten of them make
    millions of ways. A folder that cannot be listed is yielded itself, for whoever reads it to say why.
    """
    try:
        status = os.stat(folder)  # noqa: PTH116  (a million names need no objects)
        entries = os.scandir(folder)
    except OSError:
        yield Path(folder)
        return
    seen, own = set() if seen is None else seen, (status.st_dev, status.st_ino)
    with entries:
        if own in seen:
            return
        seen.add(own)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                yield from _files(entry.path, seen)
            else:
                yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _rows(path: Path, column: str | list[str]) -> Iterator[Any]:
    columns, _ = read_columns(path)
    wanted = [column] if isinstance(column, str) else column
    for name in wanted:
        if name not in columns:
            raise DataError(f"{path}: {unknown('column', name, columns)} Choose with --column.")
    files = {name for name in wanted if _name_files(columns[name], path.parent)}
    for values in zip(*(columns[name] for name in wanted), strict=True):
        try:
            row = {n: whole_path(str(v), path.parent) if n in files else v for n, v in zip(wanted, values, strict=True)}
        except ValueError as error:
            raise DataError(f"{path}: {error}") from None
        yield row[column] if isinstance(column, str) else row


def _name_files(values: Sequence[Any], root: Path) -> bool:
    """Whether a column holds names of files: most of its values are some. One alone can be a text that happens to."""
    return 2 * sum(names_file(value, root) for value in values) > len(values)
