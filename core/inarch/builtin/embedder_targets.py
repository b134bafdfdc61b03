"""What the head `embedder` reads: classes, identities, or a number for each pair. Light: imports no torch."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inarch.builtin.targets import is_missing, place, read_classes, read_column, read_numbers
from inarch.errors import DataError
from inarch.interfaces.dataset import Dataset, Stream, Targets

WANTED = "the head 'embedder' wants classes, or two input columns with a number"


def read_embedder(dataset: Dataset, options: Mapping[str, Any]) -> Targets:
    """Read a number for each pair where the input has two columns, else identities or classes, as `loss` says.

    For classes and pairs `details["mode"]` says which. For pairs `least`, `most` and `distinct` (how many different
    numbers all splits have) stand there too.
    """
    if any(isinstance(rows, Stream) for rows in dataset.splits.values()):
        raise DataError(f"{dataset.origin}: the head 'embedder' cannot use a stream: it reads all targets beforehand")
    if isinstance(dataset.input, str) and options["loss"] == "additive_margin":
        return _read_identities(dataset)
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
    """Raise ValueError, starting with the option's name, if `loss` is not one of pairs with such numbers."""
    if options["loss"] == "additive_margin" and targets.kind != "identities":
        raise ValueError(
            "loss additive_margin wants an identity for each input; two input columns have a number: write loss: cosine"
        )
    distinct = targets.details.get("distinct", 2)
    if options["loss"] == "contrastive" and distinct > 2:
        raise ValueError(
            f"loss contrastive wants targets of two values, pairs that are alike and pairs that are not; found "
            f"{distinct} different numbers; write loss: cosine"
        )


def _read_identities(dataset: Dataset) -> Targets:
    """Read one identity per example; those that train does not have are numbered on, and counted in the notes."""
    train = replace(dataset, splits={"train": dataset.splits["train"]})
    found = read_classes(train, numbers=WANTED)
    index, known = dict(found.details["values"]), len(found.classes)
    counts, new, notes = {}, {}, []
    for split in dataset.splits:
        column = read_column(dataset, split)
        missing = next((row for row, value in enumerate(column) if is_missing(value)), None)
        if missing is not None:
            raise DataError(f"{place(dataset, split, missing)}: the target '{dataset.target}' is missing")
        for value in column:
            index.setdefault(str(value), len(index) + known - len(found.details["values"]))
        sizes = Counter(index[str(value)] for value in column)
        counts[split] = [sizes[number] for number in range(known)]
        new[split] = sum(number >= known for number in sizes)
        if len(sizes) < 2 or max(sizes.values()) < 2:
            found_one = "is of one identity" if len(sizes) < 2 else "has each identity once"
            notes.append(f"{split} {found_one}: verification cannot be measured there")
    told = ", ".join(f"{count:,} in {split}" for split, count in new.items() if count)
    notes += [f"identities that train does not have: {told}"] if told else []
    return Targets("identities", found.classes, counts, {"values": index}, notes)
