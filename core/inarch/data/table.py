"""Tables: csv, tsv, jsonl and parquet, with the columns that the recipe names. Labels stay as they are written."""

import csv
import json
import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from inarch.addresses import PREFIX, locate
from inarch.data.classes import Classes, normalise
from inarch.data.folder import SPLIT_NAMES, folder
from inarch.errors import DataError, RecipeError, unknown
from inarch.interfaces.dataset import Dataset, Rows
from inarch.schema import Address

LONGEST_FIELD = 2**30  # characters; Python's own limit is 131,072, less than some texts
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def table(
    *,
    path: Annotated[str, Address()] | dict[str, Annotated[str, Address()]],
    input: str | list[str],
    target: str,
    group: str | None = None,
    split: str | None = None,
    classes: Classes | None = None,
    delimiter: str | None = None,
    columns: list[str] | None = None,
) -> Dataset:
    """Read a csv, tsv, jsonl or parquet file.

    path: the file, package:DIST/FILE, or one file for each split: {train: ..., valid: ..., test: ...}.
    input: the column that the backbone reads; a list of columns for inputs of several parts. If its values name files,
    they are relative to the table's folder.
    target: the column with the truth.
    group: a column (speaker, patient, video) whose values no split may cut through.
    split: a column that says train, valid or test.
    classes: class names in order, or names with the raw values that each joins; default: the sorted values of train.
    delimiter: of a csv file; default: a comma, for tsv a tab. A space stands for any number of spaces.
    columns: the columns' names, if the file has no first line with them.
    """
    paths = path if isinstance(path, dict) else {"train": path}
    for name in paths:
        if name not in SPLIT_NAMES:
            raise RecipeError(f"dataset.path: {unknown('split', name, SPLIT_NAMES)}")
    if "train" not in paths:
        raise RecipeError("dataset.path: 'train' is required")
    if split and len(paths) > 1:
        raise RecipeError("dataset.split: give a column that says the split, or a file for each split, not both")
    inputs = (input,) if isinstance(input, str) else tuple(input)
    if target in inputs:
        raise RecipeError(f"dataset.target: the column '{target}' is also an input; the answer would be given away")
    tables = {name: _read(locate(file, DataError), delimiter, columns) for name, file in paths.items()}
    wanted = [*inputs, target, *(c for c in (group, split) if c)]
    for name, (found, _) in tables.items():
        for column in wanted:
            if column not in found:
                raise DataError(f"{paths[name]}: {unknown('column', column, found)}")
    first, start = tables["train"]
    files = frozenset(name for name in inputs if names_file(first[name][0], start.path.parent))
    splits = {name: _rows(*found, files) for name, found in tables.items()}
    if split:
        splits = _by_column(splits["train"], split, paths["train"])
    read = input if isinstance(input, str) else inputs
    return Dataset(splits, read, target, group, normalise(classes), str(paths["train"]), files)


def package(
    *,
    distribution: str,
    path: str,
    input: str | list[str] = "file",
    target: str = "class",
    group: str | None = None,
    split: str | None = None,
    classes: Classes | None = None,
    delimiter: str | None = None,
    columns: list[str] | None = None,
) -> Dataset:
    """Read a data set inside an installed Python package, for machines without a hub.

    distribution: the package's name, as for pip.
    path: a table or a folder inside the installed files, for example elpv_dataset/data/labels.csv.
    input, target, group, split, classes, delimiter, columns: as for `table`; a folder only takes `classes`.
    """
    address = f"{PREFIX}{distribution}/{path}"
    if locate(address, DataError).is_dir():
        table_only = {"group": group, "split": split, "delimiter": delimiter, "columns": columns}
        given = [name for name, value in table_only.items() if value is not None]
        if given:
            raise RecipeError(f"dataset.{given[0]}: {address} is a folder, which has no '{given[0]}'")
        return folder(path=address, classes=classes)
    return table(path=address, input=input, target=target, group=group, split=split, classes=classes,
                 delimiter=delimiter, columns=columns)  # fmt: skip


@dataclass(frozen=True)
class _Line:
    """Where a row came from."""

    path: Path
    lines: Sequence[int]

    def __call__(self, index: int) -> str:
        return f"{self.path}, line {self.lines[index]}" if self.lines else f"{self.path}, row {index}"


def read_columns(
    path: Path, delimiter: str | None = None, columns: list[str] | None = None
) -> tuple[dict[str, list[Any]], list[int]]:
    """Return a table's columns, and the line (from 1) on which each row stands; no lines for parquet."""
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in SUFFIXES:
        raise DataError(f"{path}: not a table; expected a file ending in {', '.join(SUFFIXES)}")
    try:
        if suffix == ".parquet":
            return _read_parquet(path), []
        return _read_jsonl(path) if suffix == ".jsonl" else _read_csv(path, delimiter, columns)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text, at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: {error}") from None


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    import pyarrow.parquet  # here, or `inarch --help` would wait for it

    try:
        arrow = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: {error}") from None
    return {name: arrow[name].to_pylist() for name in arrow.column_names}


def _read(path: Path, delimiter: str | None, names: list[str] | None) -> tuple[dict[str, list[Any]], _Line]:
    columns, lines = read_columns(path, delimiter, names)
    if not columns or not len(next(iter(columns.values()))):
        raise DataError(f"{path}: the table has no rows")
    return columns, _Line(path, lines)


def _rows(columns: Mapping[str, list[Any]], where: _Line, files: Set[str]) -> Rows:
    whole = {name: _absolute(columns[name], where) for name in files}
    return Rows({name: _column(whole.get(name, values)) for name, values in columns.items()}, where)


def _read_csv(path: Path, delimiter: str | None, names: list[str] | None) -> tuple[dict[str, list[Any]], list[int]]:
    separator = delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    if len(separator) != 1 or separator in '"\r\n':
        raise RecipeError(f"dataset.delimiter: expected one character, found {separator!r}")
    csv.field_size_limit(LONGEST_FIELD)
    rows: list[list[str]] = []
    lines: list[int] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
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
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}: two columns are called '{name}'")


def _read_jsonl(path: Path) -> tuple[dict[str, list[Any]], list[int]]:
    rows: list[Mapping[str, Any]] = []
    lines: list[int] = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON: {error}") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: expected an object, found {line.strip()[:40]!r}")
            rows.append(row)
            lines.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}, lines


def names_file(value: Any, root: Path) -> bool:
    """Whether a value is the name of a file below `root`. Long texts and those with a zero byte are not, nor an error."""
    return isinstance(value, str) and value != "" and os.path.isfile(root / value)  # noqa: PTH113  (Path.is_file raises)


def _absolute(values: list[Any], where: _Line) -> list[str]:
    """Turn file names relative to the table into whole paths."""
    root = where.path.parent
    for index, value in enumerate(values):
        if not names_file(value, root):
            raise DataError(f"{where(index)}: there is no file {value!r} in {root}")
    return [str(root / value) for value in values]


def _column(values: list[Any]) -> Sequence[Any]:
    import pyarrow as pa

    try:
        array: Sequence[Any] = pa.array(values)
        return array
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):  # what Arrow has no type for stays a list
        return values


def _by_column(rows: Rows, column: str, origin: str) -> dict[str, Rows]:
    alias = {name: split for split, names in SPLIT_NAMES.items() for name in names}
    indices: dict[str, list[int]] = {}
    for index, value in enumerate(rows.column(column)):
        if str(value) not in alias:
            raise DataError(f"{rows.where(index)}: {unknown('split', value, SPLIT_NAMES)}")
        indices.setdefault(alias[str(value)], []).append(index)
    if "train" not in indices:
        raise DataError(f"{origin}: no row of the column '{column}' says train")
    return {split: rows.select(found) for split, found in indices.items()}
