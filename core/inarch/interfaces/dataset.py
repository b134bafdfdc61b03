"""What a data set is: named splits of raw rows, and what the targets in them mean. Light: imports no torch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Rows:
    """Raw rows of one split, held as columns.

    `columns` maps a name to a sequence; Arrow arrays are read without copying, so that worker processes share them.
    `where(index)` names the place a row came from (a file, or a table and its line), for messages.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]], where: Callable[[int], str] = "row {}".format) -> None:
        self.columns = dict(columns)
        self.where = where
        self._length = len(next(iter(self.columns.values()), ()))

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one row by its number, from 0."""
        return {name: _plain(column[index]) for name, column in self.columns.items()}

    def column(self, name: str) -> list[Any]:
        """Return one column's values."""
        values = self.columns[name]
        return values.to_pylist() if hasattr(values, "to_pylist") else list(values)

    def select(self, indices: Sequence[int]) -> "Rows":
        """Return the rows at `indices`, in that order."""
        return _Selection(self, indices)


class _Selection(Rows):
    """Some rows of another `Rows`, without copying them."""

    def __init__(self, rows: Rows, indices: Sequence[int]) -> None:
        self.rows, self.indices = rows, indices
        self.columns = rows.columns

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[int(self.indices[index])]

    def where(self, index: int) -> str:
        return self.rows.where(int(self.indices[index]))

    def column(self, name: str) -> list[Any]:
        values = self.rows.column(name)
        return [values[int(index)] for index in self.indices]


class Stream:
    """Rows that can only be read in order, such as a streamed data set. Its training order is a shuffle in a buffer."""

    def __init__(
        self, length: int, read: Callable[[int | None, int], Iterator[dict[str, Any]]], column_names: Sequence[str]
    ) -> None:
        self.length, self.read, self.columns = length, read, dict.fromkeys(column_names, ())

    def __len__(self) -> int:
        """Return the number of rows in one pass."""
        return self.length

    def where(self, index: int) -> str:
        """Name a row by its place in the stream."""
        return f"row {index} of the stream"


@dataclass(frozen=True)
class Dataset:
    """Named splits of raw rows: `train`, and where the data brings them `valid` and `test`."""

    splits: Mapping[str, Any]
    """Split name to `Rows` (or `Stream`)."""
    input: str | tuple[str, ...]
    """The column, or columns, that the backbone's transform is given."""
    target: str
    """The column with the truth."""
    group: str | None = None
    """A column whose values (speaker, patient, video) no split may cut through."""
    classes: Mapping[str, Sequence[str]] | None = None
    """Class names in order, each with the raw values that mean it; None: the sorted distinct values of train."""
    origin: str = ""
    """Where the data is, in words, for people."""
    files: frozenset[str] = frozenset()
    """Columns that hold names of files; a row's value is the file's whole path, as text."""
    notes: tuple[str, ...] = ()
    """Sentences about the data that people should know: which rows are left out, and why."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The input columns, also where it is one."""
        return (self.input,) if isinstance(self.input, str) else self.input

    def raw(self, row: Mapping[str, Any]) -> Any:
        """Return what the backbone's transform is given: a value, or for several columns `{column: value}` in order.

        A value is as the row has it; the name of a file is a `Path`, so that it is never taken for a text.
        """
        values = {name: Path(row[name]) if name in self.files else row[name] for name in self.inputs}
        return values[self.input] if isinstance(self.input, str) else values


@dataclass(frozen=True)
class Targets:
    """What the targets of a data set are: what a head needs to be built, now or when a bundle is opened."""

    kind: str
    """`classes` (one of), `labels` (any of), `numbers`, or a plugin's word; metrics say which kinds they measure."""
    classes: tuple[str, ...] = ()
    """Names of the target values, in the order of the outputs."""
    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Split name to the number of examples of each class."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the head wants to keep; plain data, saved as JSON in the bundle."""
    notes: Sequence[str] = ()
    """Sentences about the targets that people should know: what was repaired, and where first."""


def _plain(value: Any) -> Any:
    return value.as_py() if hasattr(value, "as_py") else value
