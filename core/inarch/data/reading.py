"""Files of columns as they are written: csv, tsv, jsonl and parquet. Labels stay text; each row knows its line."""

import codecs
import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from encodings.aliases import aliases
from pathlib import Path
from typing import Any, TextIO

from inarch.errors import DataError, RecipeError, unknown

LONGEST_FIELD = 2**30  # characters; Python's own limit is 131,072, less than some texts
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_USUAL_ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16")

Columns = tuple[dict[str, list[Any]], Sequence[int]]


def read_columns(
    path: Path, delimiter: str | None = None, columns: list[str] | None = None, encoding: str = "utf-8"
) -> Columns:
    """Return a table's columns, and the line (from 1) on which each row stands; for parquet the row, from 0."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or not path.is_file():  # a pipe would be waited for
        raise DataError(f"{path}: not a table; expected a file ending in {', '.join(SUFFIXES)}{_hint(path)}")
    try:
        if suffix == ".parquet":
            return _read_parquet(path)
        with open_text(path, encoding) as file:
            return _read_jsonl(path, file) if suffix == ".jsonl" else _read_csv(path, file, delimiter, columns)
    except OSError as error:
        raise DataError(f"{path}: {error}") from None


def _hint(path: Path) -> str:
    packed = path.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".zst")
    return ". Archives are not opened: unpack it, and give the path of what was in it" if packed else ""


@contextmanager
def open_text(path: Path, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a text file with its line ends as they are; a byte order mark is no part of the text.

    Text that is not in `encoding` is a DataError that says the byte; an encoding that Python does not know is a
    RecipeError.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # unlike `lookup`, it refuses codecs that are not of text
        utf8 = codecs.lookup(encoding).name == "utf-8"
    except (LookupError, ValueError):
        names = dict.fromkeys([*_USUAL_ENCODINGS, *sorted(aliases.values())])
        raise RecipeError(f"{path}: {unknown('encoding', encoding, names)}") from None
    try:
        with path.open(encoding="utf-8-sig" if utf8 else encoding, newline="") as file:
            yield file
    except UnicodeError as error:
        raise DataError(_not_text(path, encoding, error)) from None


def _not_text(path: Path, encoding: str, error: UnicodeError) -> str:
    """Say which byte of a file is not text: the error of a stream counts from the start of its buffer."""
    data = path.read_bytes()
    try:
        data.decode(encoding)
    except UnicodeDecodeError as first:
        line = data[: first.start].decode(encoding, "replace").count("\n") + 1
        other = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "latin-1"
        told = f"not {encoding.upper()} text, at byte {first.start}; save it as UTF-8, or say its encoding"
        return f"{path}, line {line}: {told}, for example {other}"
    return f"{path}: not {encoding.upper()} text: {error}"


def names_file(value: Any, root: Path) -> bool:
    """Whether a value is the name of a file below `root`; a text too long for a name, or with a zero byte, is not."""
    return isinstance(value, str) and value != "" and os.path.isfile(root / value)  # noqa: PTH113  (the other raises)


def whole_path(value: str, root: Path) -> Path:
    """Return the path of a file that a table in `root` names; ValueError for `../`, which leads out of the folder.

    A path that is absolute is written by whoever knows this machine, and is taken as it is.
    """
    if not Path(value).is_absolute() and os.path.normpath(value).startswith(f"{os.pardir}{os.sep}"):
        whole = os.path.normpath(root / value)
        raise ValueError(
            f"{value!r} leads out of {root}, where the table is. Write the whole path, {whole}, or put the table "
            "into a folder that holds its files"
        )
    return root / value


def _read_parquet(path: Path) -> Columns:
    import pyarrow.parquet  # here, or `inarch --help` would wait for it

    try:
        arrow = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: {error}") from None
    return {name: arrow[name].to_pylist() for name in arrow.column_names}, range(len(arrow))


def _read_csv(path: Path, file: TextIO, delimiter: str | None, names: list[str] | None) -> Columns:
    separator = delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    if len(separator) != 1 or separator in '"\r\n':
        raise RecipeError(f"dataset.delimiter: expected one character, found {separator!r}")
    csv.field_size_limit(LONGEST_FIELD)
    rows: list[list[str]] = []
    lines: list[int] = []
    spaced = separator == " "
    source = (line.rstrip(" \r\n") + "\n" for line in file) if spaced else file
    reader = csv.reader(source, delimiter=separator, skipinitialspace=spaced, strict=True)
    line = 1
    try:
        header = names or next(reader, [])
        line = reader.line_num + 1
        for row in reader:
            if len(row) == len(header):
                rows.append(row)
                lines.append(line)
            elif row:
                raise DataError(f"{path}, line {line}: {len(row)} values for {len(header)} columns")
            line = reader.line_num + 1  # a quoted value may hold line breaks
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}") from None
    _refuse_repeated(header, path)
    return {name: [row[index] for row in rows] for index, name in enumerate(header)}, lines


def _refuse_repeated(header: Sequence[str], path: Path) -> None:
    if len(set(header)) < len(header):
        name = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}: two columns are called '{name}'")


def _read_jsonl(path: Path, file: TextIO) -> Columns:
    rows: list[Mapping[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: expected an object, found {line.strip()[:40]!r}")
        rows.append(row)
        lines.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}, lines
