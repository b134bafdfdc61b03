"""Tables of series, as csv files hold them. Light: no torch."""

import csv
from collections.abc import Sequence

from inarch import DataError, RecipeError, locate, open_text, unknown

from inarch_timeseries.windows import Series

_MISSING = ("", "na", "nan", "..", "null")


def read_series(
    address: str, layout: str, values: Sequence[str] | None, label: str | None, only: tuple[int, int] | None
) -> list[Series]:
    """Return the series of a csv file, all of the same steps: the table's, less those at its ends that none has."""
    path = locate(address, DataError)
    with open_text(path) as file:
        lines = list(csv.reader(file))
    if len(lines) < 2:
        raise DataError(f"{path}: expected a line of names and lines of values, found {len(lines)} lines")
    names = [name.strip() for name in lines[0]]
    for name in [*(values or ()), *([label] if label else [])]:
        if name not in names:
            raise DataError(f"{path}: {unknown('column', name, names)}")
    columns = [names.index(name) for name in values] if values else _numbered(names, label)
    table = [[_number(line, column, f"{path}, line {number}, {names[column]}") for column in columns]
             for number, line in enumerate(lines[1:], 2)]  # fmt: skip
    if layout == "columns":
        if only:
            raise RecipeError("dataset.only: the columns of a table are the channels of one series; say values instead")
        return [Series("the series", _trimmed([table])[0])]
    titles = [line[names.index(label)] if label else f"line {number}" for number, line in enumerate(lines[1:], 2)]
    begin, end = only or (0, len(table))
    if not 0 <= begin < end <= len(table):
        raise RecipeError(f"dataset.only: expected two numbers from 0 to {len(table)}, found {list(only or ())}")
    whole = _trimmed([[[value] for value in row] for row in table])
    return [Series(title, one) for title, one in zip(titles, whole, strict=True)][begin:end]


def _numbered(names: Sequence[str], label: str | None) -> list[int]:
    numbered = [index for index, name in enumerate(names) if name.lstrip("-").isdigit()]
    return numbered or [index for index, name in enumerate(names) if name != label]


def _number(line: Sequence[str], column: int, place: str) -> float:
    text = line[column].strip() if column < len(line) else ""
    if text.lower() in _MISSING:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{place}: expected a number, found {text[:50]!r}") from None


def _trimmed(tables: list[list[list[float]]]) -> list[list[list[float]]]:
    """Return series without the first and last steps at which all of them miss everything."""
    known = [step for one in tables for step, row in enumerate(one) if any(value == value for value in row)]
    if not known:
        raise DataError("the table holds no number")
    return [one[min(known) : max(known) + 1] for one in tables]
