"""Tables: csv, tsv, jsonl and parquet, with the columns that the recipe names. Labels stay as they are written."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from inarch.addresses import PREFIX, locate
from inarch.data.classes import Classes, normalise
from inarch.data.folder import SPLIT_NAMES, folder
from inarch.errors import DataError, RecipeError, unknown
from inarch.interfaces.dataset import Dataset, Rows

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def table(
    *,
    path: str | dict[str, str],
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
    splits = {name: _read(locate(file, DataError), delimiter, columns) for name, file in paths.items()}
    wanted = [*([input] if isinstance(input, str) else input), target, *(c for c in (group, split) if c)]
    for name, rows in splits.items():
        for column in wanted:
            if column not in rows.columns:
                raise DataError(f"{paths[name]}: {unknown('column', column, rows.columns)}")
    if split:
        splits = _by_column(splits["train"], split, paths["train"])
    inputs = input if isinstance(input, str) else tuple(input)
    return Dataset(splits, inputs, target, group, normalise(classes), str(paths["train"]))


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


def read_columns(path: Path, delimiter: str | None = None, columns: list[str] | None = None) -> tuple[dict[str, list[Any]], list[int]]:
    """Return a table's columns, and the line (from 1) on which each row stands; no lines for parquet."""
    if path.is_dir() or path.suffix not in SUFFIXES:
        raise DataError(f"{path}: not a table; expected a file ending in {', '.join(SUFFIXES)}")
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            arrow = pyarrow.parquet.read_table(path)
            return {name: arrow[name].to_pylist() for name in arrow.column_names}, []
        return _read_jsonl(path) if path.suffix == ".jsonl" else _read_csv(path, delimiter, columns)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text, at byte {error.start}; save it as UTF-8") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: {error}") from None


def _read(path: Path, delimiter: str | None, names: list[str] | None) -> Rows:
    columns, lines = read_columns(path, delimiter, names)
    if not columns or not len(next(iter(columns.values()))):
        raise DataError(f"{path}: the table has no rows")
    where = _Line(path, lines)
    return Rows({name: _column(_resolve(values, path.parent, where)) for name, values in columns.items()}, where)


def _read_csv(path: Path, delimiter: str | None, names: list[str] | None) -> tuple[dict[str, list[Any]], list[int]]:
    separator = delimiter or ("\t" if path.suffix == ".tsv" else ",")
    if len(separator) != 1:
        raise RecipeError(f"dataset.delimiter: expected one character, found {separator!r}")
    rows: list[list[str]] = []
    lines: list[int] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=separator, skipinitialspace=separator == " ", strict=True)
        try:
            header = names or next(reader, [])
            for row in reader:
                if len(row) == len(header):
                    rows.append(row)
                    lines.append(reader.line_num)
                elif row:
                    raise DataError(f"{path}, line {reader.line_num}: {len(row)} values for {len(header)} columns")
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    return {name: [row[index] for row in rows] for index, name in enumerate(header)}, lines


def _read_jsonl(path: Path) -> tuple[dict[str, list[Any]], list[int]]:
    rows: list[Mapping[str, Any]] = []
    lines: list[int] = []
    with path.open(encoding="utf-8") as file:
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


def _resolve(values: list[Any], root: Path, where: _Line) -> list[Any]:
    """Turn file names relative to the table into paths, if this column holds file names: its first value is one."""
    first = values[0]
    if not isinstance(first, str) or not first or len(first) > 1000 or "\n" in first or "\0" in first or not (root / first).is_file():
        return values
    for index, value in enumerate(values):
        if not isinstance(value, str) or not (root / value).is_file():
            raise DataError(f"{where(index)}: there is no file {value!r} in {root}")
    return [str(root / value) for value in values]


def _column(values: list[Any]) -> Sequence[Any]:
    try:
        array: Sequence[Any] = pa.array(values)
        return array
    except (pa.ArrowException, OverflowError):  # values of several types stay a list
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
