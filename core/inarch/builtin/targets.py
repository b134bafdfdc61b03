"""What the target column of a data set means to a head: read, checked and counted before torch is imported."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from inarch.data.classes import split_labels
from inarch.errors import DataError, listing, unknown
from inarch.interfaces.dataset import Dataset, Rows, Stream, Targets

MOST_FRACTIONS = 20  # more distinct fractions than this, in more than a fifth of the rows, are no classes
MOST_WHOLE = 50  # more distinct whole numbers than this, in more than half of the rows, are no classes


def read_classes(dataset: Dataset, numbers: str = "for numbers use the head 'regressor'") -> Targets:
    """Read one class per example. Classes are the data set's own, or the sorted values of train.

    numbers: what to say of targets that are numbers.
    """
    columns = {split: read_column(dataset, split) for split in dataset.splits}
    _refuse_other_targets(dataset, columns["train"], numbers)
    values = _values(dataset, columns["train"])
    index = {value: number for number, members in enumerate(values.values()) for value in members}
    counts = {split: _count(dataset, split, column, index, len(values)) for split, column in columns.items()}
    _refuse_poor_classes(dataset, list(values), counts["train"])
    return Targets("classes", tuple(values), counts, {"values": index})


def read_labels(dataset: Dataset) -> Targets:
    """Read any number of labels per example: a list, or text separated by semicolons."""
    columns = {split: _labels(dataset, split) for split in dataset.splits}
    known = (
        dict(dataset.classes)
        if dataset.classes
        else {n: [n] for n in sorted({x for row in columns["train"] for x in row})}
    )
    index = {value: number for number, members in enumerate(known.values()) for value in members}
    counts = {}
    for split, column in columns.items():
        for row, labels in enumerate(column):
            for label in labels:
                if label not in index:
                    raise DataError(f"{place(dataset, split, row)}: {unknown('label', label, index)}")
        found = Counter(index[label] for labels in column for label in labels)
        counts[split] = [found[number] for number in range(len(known))]
    if not known:
        raise DataError(f"{dataset.origin}: no example of train has any label in '{dataset.target}'")
    _refuse_poor_classes(dataset, list(known), counts["train"], least=1)
    return Targets("labels", tuple(known), counts, {"values": index, "examples": len(columns["train"])})


def read_numbers(dataset: Dataset) -> Targets:
    """Read one number per example; the mean and deviation of train are kept, to standardise by."""
    columns = {split: _numbers(dataset, split) for split in dataset.splits}
    train = columns["train"] or [0.0, 1.0]
    mean = math.fsum(train) / len(train)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in train) / len(train))
    if deviation == 0:
        raise DataError(
            f"{dataset.origin}: every target of train in '{dataset.target}' is {mean:g}; there is nothing to learn"
        )
    counts = {split: [len(column)] for split, column in columns.items()}
    return Targets("numbers", (), counts, {"mean": mean, "deviation": deviation})


def verify_weights(targets: Targets, options: Mapping[str, Any]) -> None:
    """Raise ValueError, starting with the option's name, if `class_weights` names a class that there is not."""
    weights = options["class_weights"]
    for name in weights if isinstance(weights, Mapping) else ():
        if name not in targets.classes:
            raise ValueError(f"class_weights {unknown('class', name, targets.classes)}")


def read_column(dataset: Dataset, split: str) -> Sequence[Any]:
    """Return the target column of a split; of a stream, which cannot be read ahead, an empty one."""
    rows: Rows | Stream = dataset.splits[split]
    if dataset.target not in rows.columns:
        raise DataError(f"{dataset.origin}: {split}: {unknown('target column', dataset.target, rows.columns)}")
    return [] if isinstance(rows, Stream) else rows.column(dataset.target)


def _values(dataset: Dataset, train: Sequence[Any]) -> Mapping[str, Sequence[str]]:
    if dataset.classes:
        return dataset.classes
    if isinstance(dataset.splits["train"], Stream):
        raise DataError(f"{dataset.origin}: a stream cannot be read ahead; list its 'classes' in the recipe")
    names = sorted({str(value) for value in train if not is_missing(value)}, key=_natural)
    twice = next((name for name in names if f"{name}.0" in names), None)
    if twice is not None:
        raise DataError(
            f"{dataset.origin}: '{dataset.target}' has the classes '{twice}' and '{twice}.0', one number written in "
            f"two ways; join them in the data, or by dataset.classes: {{'{twice}': ['{twice}', '{twice}.0'], ...}}"
        )
    return {name: [name] for name in names}


def _refuse_other_targets(dataset: Dataset, values: Sequence[Any], numbers: str) -> None:
    """Say which head fits better where the targets of train are lists, or numbers of which few are equal."""
    if values and isinstance(values[0], list | tuple):
        where = place(dataset, "train", 0)
        hint = "for several labels use the head 'multilabel', for a tag for each unit of the input 'tagger'"
        raise DataError(f"{where}: the target '{dataset.target}' is a list; {hint}")
    distinct = {str(value) for value in values if not is_missing(value)}
    if dataset.classes or not all(_is_number(value) for value in distinct):
        return
    whole = all(float(value).is_integer() for value in distinct)
    if len(distinct) > (max(MOST_WHOLE, len(values) / 2) if whole else max(MOST_FRACTIONS, len(values) / 5)):
        raise DataError(
            f"{dataset.origin}: '{dataset.target}' has {len(distinct)} distinct numbers in {len(values)} examples; "
            + numbers
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return (0, float(name), name)  # 2 before 10
    except ValueError:
        return (1, 0.0, name)


def _count(dataset: Dataset, split: str, column: Sequence[Any], index: Mapping[str, int], size: int) -> list[int]:
    counts = [0] * size
    for row, value in enumerate(column):
        if is_missing(value):
            raise DataError(f"{place(dataset, split, row)}: the target '{dataset.target}' is missing")
        if str(value) not in index:
            other = "" if dataset.classes or split == "train" else " No example of train has it."
            raise DataError(f"{place(dataset, split, row)}: {split}: {unknown('class', value, index)}{other}")
        counts[index[str(value)]] += 1
    return counts


def _refuse_poor_classes(dataset: Dataset, names: Sequence[str], counts: Sequence[int], least: int = 2) -> None:
    if len(names) < least:
        hint = "A classifier needs at least two; is the target right?"
        raise DataError(f"{dataset.origin}: only one class in train: {listing(names)}. {hint}")
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty and not isinstance(dataset.splits["train"], Stream):
        raise DataError(f"{dataset.origin}: no example in train for the class {listing(empty)}")


def _numbers(dataset: Dataset, split: str) -> list[float]:
    numbers = []
    for row, value in enumerate(read_column(dataset, split)):
        if is_missing(value):
            raise DataError(f"{place(dataset, split, row)}: the target '{dataset.target}' is missing")
        try:
            number = float(value)
        except (TypeError, ValueError):
            told = f"{value!r}, not a number; for classes use the head 'classifier'"
            raise DataError(f"{place(dataset, split, row)}: the target '{dataset.target}' is {told}") from None
        if not math.isfinite(number):
            raise DataError(f"{place(dataset, split, row)}: the target '{dataset.target}' is {number}")
        numbers.append(number)
    return numbers


def _labels(dataset: Dataset, split: str) -> list[list[str]]:
    column = read_column(dataset, split)
    for row, value in enumerate(column):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            hint = "write no labels as an empty text or list"
            raise DataError(f"{place(dataset, split, row)}: the target '{dataset.target}' is missing; {hint}")
    return [split_labels(value) for value in column]


def is_missing(value: Any) -> bool:
    """Say whether a value of a table is none at all."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def place(dataset: Dataset, split: str, row: int) -> str:
    """Name the place a row came from."""
    return str(dataset.splits[split].where(row))
