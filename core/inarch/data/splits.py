"""Splits that the data does not bring: cut from train, stratified, seeded, never through a group."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inarch.data.classes import split_labels
from inarch.errors import DataError
from inarch.interfaces.dataset import Dataset, Rows, Stream
from inarch.recipe import Splits

if TYPE_CHECKING:
    import numpy as np

DISTINCT_SHARE = 0.34  # a target with more distinct values than this share of the rows is not stratified by


def complete(dataset: Dataset, splits: Splits) -> Dataset:
    """Return the data set with `valid` and `test`; those that it brings are kept as they are."""
    made = dict(dataset.splits)
    _refuse_shared_groups(dataset)
    if isinstance(made["train"], Stream):
        return dataset
    whole = len(made["train"])
    for name, share in (("test", splits.test), ("valid", splits.valid)):
        if name in made or not share:
            continue
        part = share * whole / len(made["train"]) if name == "valid" and "test" not in dataset.splits else share
        made["train"], made[name] = _cut(dataset, made["train"], part, splits.seed, name)
    return replace(dataset, splits={name: made[name] for name in ("train", "valid", "test") if name in made})


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
    few = len(counts) <= DISTINCT_SHARE * len(labels)
    return rarest if few or dataset.classes else [None] * len(labels)


def _take_stratified(strata: Sequence[Hashable], share: float, random: "np.random.Generator") -> list[int]:
    members_of: dict[Hashable, list[int]] = {}
    for index, stratum in enumerate(strata):
        members_of.setdefault(stratum, []).append(index)
    taken: list[int] = []
    for found in members_of.values():
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
