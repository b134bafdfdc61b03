"""Tables: csv, tsv, jsonl and parquet, with the columns that the recipe names. Labels stay as they are written."""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from inarch.addresses import PREFIX, locate
from inarch.data.classes import Classes, normalise
from inarch.data.folder import SPLIT_NAMES, folder, split_files
from inarch.data.reading import names_file, read_columns, whole_path
from inarch.errors import DataError, RecipeError, unknown
from inarch.interfaces.dataset import Dataset, Rows
from inarch.schema import Address


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
    encoding: str = "utf-8",
    minimum: dict[str, float] | None = None,
) -> Dataset:
    """Read a csv, tsv, jsonl or parquet file.

    path: the file, package:DIST/FILE, or one file for each split: {train: ..., valid: ..., test: ...}.
    input: the column that the backbone reads; a list of columns for inputs of several parts. If its values name files,
    they are relative to the table's folder, which `../` may not leave, or absolute.
    target: the column with the truth.
    group: a column (speaker, patient, video) whose values no split may cut through.
    split: a column that says train, valid or test.
    classes: class names in order, or names with the raw values that each joins; default: the sorted values of train.
    delimiter: of a csv file; default: a comma, for tsv a tab. A space stands for any number of spaces.
    columns: the columns' names, if the file has no first line with them.
    encoding: how the text of a csv, tsv or jsonl file is written, for example latin-1 or utf-16.
    minimum: {column: number}; rows that have less there, or no number, are left out and counted.
    """
    inputs = (input,) if isinstance(input, str) else tuple(input)
    if target in inputs:
        raise RecipeError(f"dataset.target: the column '{target}' is also an input; the answer would be given away")
    if split and isinstance(path, dict) and len(path) > 1:
        raise RecipeError("dataset.split: give a column that says the split, or a file for each split, not both")
    tables, notes = {}, []
    for name, file in split_files(path).items():
        found, numbers = read_columns(file, delimiter, columns, encoding)
        read = _Table(found, _Where(file, numbers))
        read.require([*inputs, target, *(c for c in (group, split) if c), *(minimum or ())])
        tables[name], told = read.at_least(minimum or {})
        notes += told
    files = tables["train"].files(inputs)
    splits = {name: read.rows(files) for name, read in tables.items()}
    origin = str(path["train"] if isinstance(path, dict) else path)
    if split:
        splits = _by_column(splits["train"], split, origin)
    return Dataset(
        splits,
        input if isinstance(input, str) else inputs,
        target,
        group,
        normalise(classes),
        origin,
        files,
        tuple(notes),
    )


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
    encoding: str = "utf-8",
    minimum: dict[str, float] | None = None,
) -> Dataset:
    """Read a data set inside an installed Python package, for machines without a hub.

    distribution: the package's name, as for pip.
    path: a table or a folder inside the installed files, for example elpv_dataset/data/labels.csv.
    input, target, group, split, classes, delimiter, columns, encoding, minimum: as for `table`; a folder only takes
    `classes`.
    """
    options = {name: value for name, value in locals().items() if name not in ("distribution", "path")}
    address = f"{PREFIX}{distribution}/{path}"
    if not locate(address, DataError).is_dir():
        return table(path=address, **options)
    defaults = {"group": None, "split": None, "delimiter": None, "columns": None, "encoding": "utf-8", "minimum": None}
    given = [name for name, default in defaults.items() if options[name] != default]
    if given:
        raise RecipeError(f"dataset.{given[0]}: {address} is a folder, which has no '{given[0]}'")
    return folder(path=address, classes=classes)


@dataclass(frozen=True)
class _Where:
    """Where each row came from."""

    path: Path
    numbers: Sequence[int]

    def __call__(self, index: int) -> str:
        unit = "row" if self.path.suffix.lower() == ".parquet" else "line"
        return f"{self.path}, {unit} {self.numbers[index]}"


@dataclass(frozen=True)
class _Table:
    """A file's columns."""

    columns: Mapping[str, list[Any]]
    where: _Where

    def require(self, names: Iterable[str]) -> None:
        """Refuse a table without rows, or without one of the columns."""
        if not self.where.numbers:
            raise DataError(f"{self.where.path}: the table has no rows")
        for name in names:
            if name not in self.columns:
                raise DataError(f"{self.where.path}: {unknown('column', name, self.columns)}")

    def at_least(self, minimum: Mapping[str, float]) -> tuple["_Table", list[str]]:
        """Return the rows that have at least so much in these columns, and a sentence about the others."""
        result, notes = self, []
        for column, least in minimum.items():
            numbers = [_number(value) for value in result.columns[column]]
            kept = [index for index, number in enumerate(numbers) if number >= least]  # which NaN is not
            if not kept:
                raise DataError(f"{self.where.path}: no row has {least:g} or more in the column '{column}'")
            if lost := len(numbers) - len(kept):
                none = sum(map(math.isnan, numbers))
                told = f"{lost:,} of {len(numbers):,} rows are left out, for '{column}' is below {least:g}"
                notes.append(f"{self.where.path}: {told}" + (f", or no number ({none:,})" if none else ""))
            where = replace(self.where, numbers=[result.where.numbers[index] for index in kept])
            result = _Table({name: [c[index] for index in kept] for name, c in result.columns.items()}, where)
        return result, notes

    def files(self, names: Iterable[str]) -> frozenset[str]:
        """Return which of the columns hold names of files, relative to the table: their first value is one."""
        return frozenset(name for name in names if names_file(self.columns[name][0], self.where.path.parent))

    def rows(self, files: Set[str]) -> Rows:
        """Return the columns as Arrow's, names of files as whole paths."""
        columns = {name: self._absolute(v) if name in files else v for name, v in self.columns.items()}
        return Rows({name: _column(values) for name, values in columns.items()}, self.where)

    def _absolute(self, values: Sequence[Any]) -> list[str]:
        root, paths = self.where.path.parent, []
        for index, value in enumerate(values):
            if not names_file(value, root):
                raise DataError(f"{self.where(index)}: there is no file {value!r} in {root}")
            try:
                paths.append(str(whole_path(value, root)))
            except ValueError as error:
                raise DataError(f"{self.where(index)}: {error}") from None
        return paths


def _number(value: Any) -> float:
    """Return a value as a number; NaN if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _column(values: Sequence[Any]) -> Sequence[Any]:
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
