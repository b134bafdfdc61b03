"""What futures mean to the head. Light: no torch."""

from typing import Any

from inarch import DataError, Dataset, Targets


def read_futures(dataset: Dataset) -> Targets:
    """Return targets of the kind `futures`; all are of as many steps and channels as the first one of train."""
    first = dataset.splits["train"].column(dataset.target)[0]
    horizon, channels = _shape(first, f"{dataset.origin}: {dataset.target}")
    for split, rows in dataset.splits.items():
        for index, future in enumerate(rows.column(dataset.target)):
            if _shape(future, rows.where(index)) != (horizon, channels):
                told = f"expected {horizon} steps of {channels} channels as in train"
                raise DataError(f"{rows.where(index)} of {split}: {told}, found {_shape(future, split)}")
    return Targets("futures", details={"horizon": horizon, "channels": channels})


def _shape(future: Any, where: str) -> tuple[int, int]:
    if not isinstance(future, dict) or future.keys() != {"values", "unit"} or not future["values"]:
        raise DataError(f"{where}: expected values and the unit of their errors, as the data set `series` makes them")
    return len(future["values"]), len(future["unit"])
