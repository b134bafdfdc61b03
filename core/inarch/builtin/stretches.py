"""Stretches: places of a raw input with a label, as rows of data write them. Light: imports no torch.

A place is a half-open interval [start, end): characters of a text (of a list of words: of the words joined by single
spaces), seconds of a recording.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from inarch.builtin.targets import place, read_column
from inarch.errors import DataError
from inarch.interfaces.dataset import Dataset, Stream

Read = TypeVar("Read")


class Stretch(NamedTuple):
    """A place and its label; of an answer, an empty label."""

    start: float
    end: float
    label: str


def read_train(dataset: Dataset) -> Sequence[Any]:
    """Return the target column of train, or raise DataError if a split is a stream."""
    for split, rows in dataset.splits.items():
        if isinstance(rows, Stream):
            raise DataError(
                f"{dataset.origin}: '{split}' is a stream; this head must read all targets before it trains"
            )
    return read_column(dataset, "train")


def read_rows(dataset: Dataset, split: str, column: str | None, read: Callable[[Any, Any], Read]) -> list[Read]:
    """Return what `read(target, raw input)` makes of each row; its ValueError becomes a DataError with the place.

    The input is that of `column`; None if there is no such column, or if it names files.
    """
    targets: Sequence[Any] = read_column(dataset, split)
    hidden = column is None or column in dataset.files
    raws = [None] * len(targets) if hidden else dataset.splits[split].column(column)
    found = []
    for row, (target, raw) in enumerate(zip(targets, raws, strict=True)):
        try:
            found.append(read(target, raw))
        except ValueError as error:
            raise DataError(f"{place(dataset, split, row)}: {error}") from None
    return found


def read_stretch(item: Any) -> Stretch:
    """Return the stretch that a mapping with start, end and label says, or raise ValueError."""
    missing = [key for key in ("start", "end", "label") if not isinstance(item, Mapping) or item.get(key) is None]
    if missing:
        raise ValueError(f"a segment needs {', '.join(missing)}; found {item!r}")
    start, end = item["start"], item["end"]
    for number in (start, end):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"start and end of a segment are numbers; found {item!r}")
    if not 0 <= start < end < float("inf"):  # false for NaN, too
        raise ValueError(f"a segment starts at 0 or later and ends after its start; found {item!r}")
    return Stretch(start, end, str(item["label"]))


def refuse_outside(found: Iterable[Stretch], raw: Any) -> None:
    """Raise ValueError for a stretch that ends beyond a text or a list of words; other inputs are not looked at."""
    text = " ".join(raw) if isinstance(raw, list) and all(isinstance(word, str) for word in raw) else raw
    for stretch in found if isinstance(text, str) else ():
        if stretch.end > len(text):
            raise ValueError(f"the segment {tell(stretch)} ends beyond the input, which has {len(text)} characters")


def tell(stretch: Stretch) -> str:
    """Return a stretch in words."""
    return f"{stretch.label} [{stretch.start}, {stretch.end})".strip()
