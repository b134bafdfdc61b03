"""What the head `embedder` reads: classes of single inputs, or a number for each pair. Light: imports no torch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inarch.builtin.targets import read_classes, read_numbers
from inarch.errors import DataError
from inarch.interfaces.dataset import Dataset, Stream, Targets

WANTED = "the head 'embedder' wants classes, or two input columns with a number"


def read_embedder(dataset: Dataset) -> Targets:
    """Read a number for each pair where the input has two columns, else classes; `details["mode"]` says which.

    For pairs `least`, `most` and `distinct` (how many different numbers all splits have) stand in the details too.
    """
    if any(isinstance(rows, Stream) for rows in dataset.splits.values()):
        raise DataError(f"{dataset.origin}: the head 'embedder' cannot use a stream: it reads all targets beforehand")
    if isinstance(dataset.input, str):
        found = read_classes(dataset, numbers=WANTED)
        return replace(found, details={**found.details, "mode": "classes"})
    if len(dataset.input) != 2:
        raise DataError(f"{dataset.origin}: {len(dataset.input)} input columns; {WANTED}")
    found = read_numbers(dataset)
    columns = {split: [float(x) for x in rows.column(dataset.target)] for split, rows in dataset.splits.items()}
    details = {
        "mode": "pairs",
        "least": min(columns["train"]),
        "most": max(columns["train"]),
        "distinct": len({number for column in columns.values() for number in column}),
    }
    return replace(found, details=details)


def verify_embedder(targets: Targets, options: Mapping[str, Any]) -> None:
    """Raise ValueError, starting with the option's name, if pairs are more than alike or not for `contrastive`."""
    distinct = targets.details.get("distinct", 2)
    if options["loss"] == "contrastive" and distinct > 2:
        raise ValueError(
            f"loss contrastive wants targets of two values, pairs that are alike and pairs that are not; found "
            f"{distinct} different numbers; write loss: cosine"
        )
