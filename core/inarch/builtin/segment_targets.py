"""What the targets of the head `tagger` mean: tags or segments, read and checked before torch is imported."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from inarch.builtin.segments import OUTSIDE, find_breaks, find_segments, is_iob1, is_tag, label_of, tags_of
from inarch.builtin.stretches import Stretch, read_rows, read_stretch, read_train, refuse_outside, tell
from inarch.builtin.targets import place
from inarch.errors import DataError, unknown
from inarch.interfaces.dataset import Dataset, Targets


def read_segments(dataset: Dataset) -> Targets:
    """Read, for each example, one tag per unit, or segments: a list of {start, end, label}, empty if there are none.

    Tags are `O` and B-, I-, E-, S- with a label (`classes` are the labels), or anything else (`classes` are the tags).
    What only a scheme can judge is noted in `details` for `verify_tagger`.
    """
    values = {str(raw): name for name, raws in (dataset.classes or {}).items() for raw in raws}
    first = next((item for value in read_train(dataset) for item in (value if isinstance(value, list) else ())), None)
    if first is None:
        if any(read_train(dataset)):  # some value is no list, and is told by its place
            read_rows(dataset, "train", None, _stretches)
        raise DataError(
            f"{dataset.origin}: no example of train has anything in '{dataset.target}'; "
            "expected one tag per unit, or a list of segments {start, end, label}"
        )
    return (_read_stretches if isinstance(first, Mapping) else _read_tags)(dataset, values)


def verify_tagger(targets: Targets, options: Mapping[str, Any]) -> None:
    """Raise ValueError, starting with the option's name, if the tags are not what `scheme` and `repair` allow."""
    units, plain, details = options["scheme"] == "units", targets.details.get("plain"), targets.details
    if units and not plain:
        found = "the targets are segments" if details["form"] == "segments" else "the tags say where segments begin"
        raise ValueError(f"scheme units labels every unit by itself, but {found}; write scheme: bio")
    if plain and not units:
        raise ValueError(
            f"scheme {plain}, which is not O, nor B-, I-, E- or S- with a label; "
            "where every unit has a tag of its own (parts of speech), write scheme: units"
        )
    if options["repair"] == "error" and details.get("repaired"):
        raise ValueError(f"repair {details['first_repaired']}; repair: begin lets it begin a segment")
    weights = options["class_weights"]
    for name in weights if isinstance(weights, Mapping) else ():
        if name not in (*targets.classes, OUTSIDE):
            raise ValueError(f"class_weights {unknown('class', name, (OUTSIDE, *targets.classes))}")


def name_tags(raw: Sequence[Any], values: Mapping[str, str]) -> list[str]:
    """Return the tags of a raw target; `values` is the mapping of raw values in `Targets.details`."""
    return [values.get(str(tag), str(tag)) for tag in raw]


def name_stretches(raw: Sequence[Mapping[str, Any]], values: Mapping[str, str]) -> list[Stretch]:
    """Return the segments of a raw target, in order of their start."""
    return sorted(Stretch(s["start"], s["end"], values.get(str(s["label"]), str(s["label"]))) for s in raw)


def _read_tags(dataset: Dataset, values: Mapping[str, str]) -> Targets:
    read = partial(_tags, values=values)
    tags = {split: read_rows(dataset, split, _input(dataset), read) for split in dataset.splits}
    train = {tag for row in tags["train"] for tag in row}
    plain = _first(dataset, "train", tags["train"], {tag for tag in train if not is_tag(tag)})
    names = list(dataset.classes) if dataset.classes else sorted(train)
    if not plain:
        labels = dict.fromkeys(label_of(tag) for tag in names if is_tag(tag) and tag != OUTSIDE)
        names = list(labels) if dataset.classes else sorted(labels)
    if len(names) < (2 if plain else 1):
        raise DataError(f"{dataset.origin}: every tag of train is {next(iter(train))!r}; there is nothing to learn")
    allowed = names if plain else tags_of(names, "bioes")
    for split, rows in tags.items():
        _refuse_unknown(dataset, split, rows, allowed)
    counted = {split: rows if plain else _labels(map(find_segments, rows)) for split, rows in tags.items()}
    breaks = {} if plain else _breaks(dataset, tags)
    details = {"form": "tags", "values": values, "plain": plain, **breaks}
    return Targets("segments", tuple(names), _count(counted, names), details, _tell_repairs(**breaks))


def _read_stretches(dataset: Dataset, values: Mapping[str, str]) -> Targets:
    found = {split: read_rows(dataset, split, _input(dataset), _stretches) for split in dataset.splits}
    labels = {split: _labels(rows) for split, rows in found.items()}
    if dataset.classes:
        for split, rows in labels.items():
            _refuse_unknown(dataset, split, rows, list(values), "label")
        labels = {split: [name_tags(row, values) for row in rows] for split, rows in labels.items()}
    names = list(dataset.classes or sorted({label for row in labels["train"] for label in row}))
    for split, rows in labels.items():
        _refuse_unknown(dataset, split, rows, names, "label")
    return Targets("segments", tuple(names), _count(labels, names), {"form": "segments", "values": values})


def _input(dataset: Dataset) -> str | None:
    """Return the input column; None if there are several: how they are joined is not known here."""
    return dataset.input if isinstance(dataset.input, str) else None


def _tags(target: Any, raw: Any, values: Mapping[str, str]) -> list[str]:
    if not isinstance(target, list) or any(isinstance(tag, bool) or not isinstance(tag, str | int) for tag in target):
        raise ValueError(f"expected a list of tags, one per unit, found {target!r}")
    if isinstance(raw, str):
        raise ValueError(
            "tags belong to units, but the input is a text; give a list of words, or segments {start, end, label}"
        )
    if isinstance(raw, list) and len(raw) != len(target):
        raise ValueError(f"{len(target)} tags for {len(raw)} units")
    for tag in target if values else ():
        if str(tag) not in values:
            raise ValueError(unknown("tag", tag, values))
    return name_tags(target, values)


def _stretches(target: Any, raw: Any) -> list[Stretch]:
    if not isinstance(target, list):
        raise ValueError(f"expected a list of segments {{start, end, label}}, found {target!r}; write none as []")
    found = sorted(map(read_stretch, target))
    for before, after in pairwise(found):
        if after.start < before.end:
            raise ValueError(f"segments overlap: {tell(before)} and {tell(after)}")
    refuse_outside(found, raw)
    return found


def _first(dataset: Dataset, split: str, rows: Sequence[Sequence[str]], wanted: set[str]) -> str | None:
    """Name the first place that has one of the wanted tags."""
    found = ((row, tag) for row, tags in enumerate(rows) for tag in tags if tag in wanted) if wanted else iter(())
    return next((f"{place(dataset, split, row)}: the tag {tag!r}" for row, tag in found), None)


def _refuse_unknown(
    dataset: Dataset, split: str, rows: Sequence[Sequence[str]], allowed: Sequence[str], what: str = "tag"
) -> None:
    known = set(allowed)
    for row, names in enumerate(rows):
        for name in names:
            if name not in known:
                other = "" if split == "train" or dataset.classes else " No example of train has it."
                raise DataError(f"{place(dataset, split, row)}: {split}: {unknown(what, name, allowed)}{other}")


def _breaks(dataset: Dataset, tags: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Any]:
    """Count, for each split, the tags that go on with nothing, and tell where the first one is; in IOB1 none does."""
    if is_iob1(tags["train"]):
        return {}
    found = {
        split: [(row, unit) for row, found in enumerate(rows) for unit in find_breaks(found)]
        for split, rows in tags.items()
    }
    repaired = {split: len(places) for split, places in found.items() if places}
    if not repaired:
        return {}
    split = next(iter(repaired))
    row, unit = found[split][0]
    before = f"follows {tags[split][row][unit - 1]!r}" if unit else "comes first"
    told = f"{place(dataset, split, row)}: the tag {tags[split][row][unit]!r} {before}"
    return {"repaired": repaired, "first_repaired": told}


def _tell_repairs(repaired: Mapping[str, int] | None = None, first_repaired: str = "") -> list[str]:
    if not repaired:
        return []
    told = ", ".join(f"{count:,} in {split}" for split, count in repaired.items())
    return [f"tags that go on with no segment begin one (head.repair): {told}; the first: {first_repaired}"]


def _labels(rows: Iterable[Iterable[Any]]) -> list[list[str]]:
    return [[segment.label for segment in row] for row in rows]


def _count(rows: Mapping[str, Sequence[Sequence[str]]], names: Sequence[str]) -> dict[str, list[int]]:
    counters = {split: Counter(name for row in column for name in row) for split, column in rows.items()}
    return {split: [counter[name] for name in names] for split, counter in counters.items()}
