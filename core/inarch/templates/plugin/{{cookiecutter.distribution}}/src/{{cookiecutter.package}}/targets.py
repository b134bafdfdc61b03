"""What the target column means to the ordinal head: read, checked and counted before torch is imported."""

from collections import Counter

from inarch import DataError, Dataset, Targets, unknown


def read_ordered(dataset: Dataset) -> Targets:
    """Read one class per example. Their order is that of the data set's `classes`, or that of their names.

    The kind "classes" is the core's: its metrics of classes measure this head too. `details` are kept in the bundle.
    """
    train = dataset.splits["train"].column(dataset.target)
    classes = dataset.classes or {name: [name] for name in sorted({str(value) for value in train})}
    if len(classes) < 2:
        raise DataError(f"{dataset.origin}: '{dataset.target}' has only one class, {next(iter(classes), 'none')}")
    numbers = {value: number for number, values in enumerate(classes.values()) for value in values}
    counts = {split: _count(dataset, split, numbers, len(classes)) for split in dataset.splits}
    return Targets("classes", tuple(classes), counts, {"values": numbers})


def _count(dataset: Dataset, split: str, numbers: dict[str, int], size: int) -> list[int]:
    rows = dataset.splits[split]
    found: Counter[int] = Counter()
    for index, value in enumerate(rows.column(dataset.target)):
        if str(value) not in numbers:
            raise DataError(f"{rows.where(index)}: {unknown('class', value, numbers)}")
        found[numbers[str(value)]] += 1
    return [found[number] for number in range(size)]
