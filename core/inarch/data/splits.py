"""Splits that the data does not bring: cut from train, stratified, seeded, never through a group.

Also how much of train is kept after that, for training on few examples.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inarch.data.classes import split_labels
from inarch.errors import DataError, RecipeError, unknown
from inarch.interfaces.dataset import Dataset, Rows, Stream
from inarch.recipe import Splits

if TYPE_CHECKING:
    import numpy as np

MOST_FRACTIONS = 20  # more distinct numbers than this, with fractions among them, are no classes
DISTINCT_SHARE = 0.34  # a target with more distinct values than this share of the rows is not stratified by


def complete(dataset: Dataset, splits: Splits) -> Dataset:
    """Return the data set with `valid` and `test`; those that it brings are kept as they are."""
    made = dict(dataset.splits)
    _refuse_shared_groups(dataset)
    if isinstance(made["train"], Stream):
        if splits.examples or splits.per_class:
            told = "a stream cannot be drawn from; its first rows are chosen by dataset.examples"
            raise RecipeError(f"splits.{'examples' if splits.examples else 'per_class'}: {told}")
        for name in ("valid", "test"):
            if isinstance(getattr(splits, name), Mapping):
                raise RecipeError(f"splits.{name}: a stream cannot be cut by values; its splits are dataset.splits")
        return dataset
    whole = len(made["train"])
    for name, share in (("test", splits.test), ("valid", splits.valid)):
        if isinstance(share, Mapping):
            made["train"], made[name] = _select(dataset, made, share, name)
    _refuse_shared_groups(replace(dataset, splits=made))
    for name, share in (("test", splits.test), ("valid", splits.valid)):
        if name in made or not share or isinstance(share, Mapping):
            continue
        part = share * whole / len(made["train"]) if name == "valid" and "test" not in dataset.splits else share
        made["train"], made[name] = _cut(dataset, made["train"], part, splits.seed, name)
    made["train"], notes = _keep(dataset, made["train"], splits)
    ordered: dict[str, Any] = {name: made[name] for name in ("train", "valid", "test") if name in made}
    return replace(dataset, splits=ordered, notes=(*dataset.notes, *notes))


def _keep(dataset: Dataset, rows: Rows, splits: Splits) -> tuple[Rows, list[str]]:
    """Return as much of train as `splits` says, and a sentence about it."""
    seed = splits.seed if splits.draw is None else splits.draw
    if splits.examples:
        if splits.examples > len(rows):
            raise RecipeError(f"splits.examples: train has {len(rows):,} examples, not {splits.examples:,}")
        order = _spread(_strata(dataset, rows), seed)
        kept, told = sorted(order, key=order.__getitem__)[: splits.examples], f"examples: {splits.examples}"
    elif splits.per_class:
        order = _spread(_one_class_each(dataset, rows, splits.per_class), seed)
        kept, told = (
            [i for i, (_, rank, _) in order.items() if rank < splits.per_class],
            f"per_class: {splits.per_class}",
        )
    else:
        return rows, []
    return rows.select(sorted(kept)), [f"train keeps {len(kept):,} of {len(rows):,} examples (splits.{told})"]


def _spread(strata: Sequence[Hashable], seed: int) -> dict[int, tuple[float, int, float]]:
    """Return the key of each row by which they are drawn: its place in its stratum, 0 to 1, its rank there, a lot.

    Of the rows in this order any first N hold each stratum in its share, and one of each before a second of any.
    """
    import numpy as np  # here, or a typo in a recipe would wait for it

    random = np.random.default_rng((seed, 0))
    keys = {}
    for members in _members(strata).values():
        for rank, index in enumerate(random.permutation(members).tolist()):
            keys[index] = (rank / len(members), rank, float(random.random()))
    return keys


def _one_class_each(dataset: Dataset, rows: Rows, least: int) -> list[str]:
    """Return each row's class, or refuse targets that are none and classes with fewer than `least` examples."""
    column = rows.column(dataset.target) if dataset.target in rows.columns else [""] * len(rows)
    if any(isinstance(value, list | tuple | Mapping) for value in column):
        raise RecipeError(f"splits.per_class: '{dataset.target}' holds no single classes; say 'splits.examples'")
    joined = {value: name for name, members in (dataset.classes or {}).items() for value in members}
    classes = [joined.get(str(value), str(value)) for value in column]
    name, fewest = min(Counter(classes).items(), key=lambda item: item[1])
    if fewest < least:
        told = f"train has {fewest:,} of the class '{name}', not {least:,}; for targets that are no classes"
        raise RecipeError(f"splits.per_class: {told} say 'splits.examples'")
    return classes


def _members(strata: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    found: dict[Hashable, list[int]] = {}
    for index, stratum in enumerate(strata):
        found.setdefault(stratum, []).append(index)
    return found


def _select(
    dataset: Dataset, made: Mapping[str, Rows], wanted: Mapping[str, Sequence[str]], name: str
) -> tuple[Rows, Rows]:
    """Return the rows of train that have none of the wanted values, and those that have one in each column."""
    rows, key = made["train"], f"splits.{name}"
    if name in dataset.splits:
        raise RecipeError(f"{key}: the data bring a {name} split of their own; say a share, or nothing")
    chosen = [True] * len(rows)
    for column, values in wanted.items():
        if column not in rows.columns:
            raise RecipeError(f"{key}: {unknown('column', column, rows.columns)}")
        found = [str(value) for value in rows.column(column)]
        for value in values:
            if value not in found:
                raise RecipeError(f"{key}.{column}: {unknown('value', value, sorted(set(found)))}")
        chosen = [c and value in values for c, value in zip(chosen, found, strict=True)]
    taken = [index for index, is_taken in enumerate(chosen) if is_taken]
    rest = [index for index, is_taken in enumerate(chosen) if not is_taken]
    if not taken:
        raise RecipeError(f"{key}: no example of train has these values together")
    if not rest:
        raise RecipeError(f"{key}: every example of train has these values; nothing is left to train on")
    return rows.select(rest), rows.select(taken)


def _cut(dataset: Dataset, rows: Rows, share: float, seed: int, name: str) -> tuple[Rows, Rows]:
    import numpy as np  # here, or a typo in a recipe would wait for it

    random = np.random.default_rng((seed, len(name)))
    if dataset.group:
        taken = _take_groups(rows.column(dataset.group), share, random)
    else:
        taken = _take_stratified(_strata(dataset, rows), share, random)
    rest = sorted(set(range(len(rows))) - set(taken))
    if not rest or not taken:
        raise DataError(
            f"{dataset.origin}: {len(rows)} examples are too few to set aside {share:.0%} as {name}; "
            f"add data, bring a {name} split, or say 'splits: {{{name}: 0}}'"
        )
    return rows.select(rest), rows.select(taken)


def _strata(dataset: Dataset, rows: Rows) -> Sequence[Hashable]:
    if dataset.target not in rows.columns:
        return [None] * len(rows)  # the head will say that the column is missing, and which ones there are
    labels = [split_labels(value) for value in rows.column(dataset.target)]
    if dataset.classes:
        joined = {value: name for name, members in dataset.classes.items() for value in members}
        labels = [[joined.get(label, label) for label in found] for found in labels]
    counts = Counter(label for found in labels for label in found)
    rarest = [min(found, key=lambda label: counts[label], default=None) for found in labels]
    few = len(counts) <= DISTINCT_SHARE * len(labels) and not _are_fractions(counts)
    return rarest if few or dataset.classes else [None] * len(labels)


def _are_fractions(values: Collection[str]) -> bool:
    """Say whether values are numbers on a scale: each in every split would make the rare ones common there."""
    try:
        return len(values) > MOST_FRACTIONS and not all(float(value).is_integer() for value in values)
    except ValueError:
        return False


def _take_stratified(strata: Sequence[Hashable], share: float, random: "np.random.Generator") -> list[int]:
    taken: list[int] = []
    for found in _members(strata).values():
        members = random.permutation(found)
        size = round(share * len(members))
        least = 1 if len(members) >= 3 else 0
        taken += members[: min(max(size, least), max(len(members) - 1, 0))].tolist()  # train keeps one of each
    return sorted(taken)


def _take_groups(groups: Sequence[Hashable], share: float, random: "np.random.Generator") -> list[int]:
    sizes = Counter(groups)
    names = sorted(sizes, key=str)
    taken: set[Hashable] = set()
    room = share * len(groups)
    for index in random.permutation(len(names)):
        if sizes[names[index]] <= room:
            taken.add(names[index])
            room -= sizes[names[index]]
    if not taken:
        taken.add(min(names, key=lambda name: sizes[name]))
    if len(taken) == len(names):
        return []
    return [index for index, group in enumerate(groups) if group in taken]


def _refuse_shared_groups(dataset: Dataset) -> None:
    if not dataset.group:
        return
    owner: dict[Hashable, str] = {}
    for split, rows in dataset.splits.items():
        if isinstance(rows, Stream):
            continue
        for group in dict.fromkeys(rows.column(dataset.group)):
            if owner.setdefault(group, split) != split:
                raise DataError(f"{dataset.origin}: the group '{group}' is in {owner[group]} and in {split}")
