"""Folds for a cross-validation on train: stratified by class, groups never cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MOST = 5


@dataclass(frozen=True)
class Folds:
    """Which examples are held out together."""

    of: Array
    """(N,), the number of the fold that each example is held out in; `count`: in none, it is always trained on."""
    count: int
    """How many folds; 0: there can be none."""
    note: str
    """What kept it from `MOST` folds with every example held out once; empty: nothing."""


def make_folds(classes: Array | None, groups: Sequence[Any] | None, size: int, seed: int) -> Folds:
    """Deal `size` examples into at most five folds, as many as the rarest class and the number of groups allow.

    classes: (N,) class numbers to stratify by, or None. groups: (N,) values that no fold may cut through, or None.
    A class that stands in one group alone (without groups: in one example) cannot be held out and learnt as well: it is
    always trained on.
    """
    _, units = np.unique(np.asarray([str(group) for group in groups]), return_inverse=True) if groups else (
        None, np.arange(size))  # fmt: skip
    numbers = np.zeros(size, int) if classes is None else np.unique(classes, return_inverse=True)[1]
    table = np.zeros((int(units.max(initial=-1)) + 1, int(numbers.max(initial=-1)) + 1), int)
    np.add.at(table, (units, numbers), 1)
    lonely: Array = np.zeros(len(table), bool)
    if classes is not None:
        lonely = np.asarray((table[:, (table > 0).sum(0) < 2] > 0).any(1))
    dealt = table[~lonely]
    spread = (dealt > 0).sum(0)
    count = int(min([MOST, len(dealt), *([] if classes is None else spread[spread > 0].tolist())], default=0))
    held = f"{int(lonely[units].sum()):,} examples of classes that stand in one " + ("group" if groups else "example")
    note = f"{held} are in no fold" if lonely.any() else ""
    if count < 2:
        return Folds(np.zeros(size, int), 0, _join(note, f"{size:,} examples are too few, or too alike, for folds"))
    of_unit = np.full(len(table), count)
    of_unit[~lonely] = _deal(dealt, count, seed)
    trained_on = np.stack([table[of_unit != fold].sum(0) for fold in range(count)])
    of_unit[(table[:, (trained_on == 0).any(0)] > 0).any(1)] = count  # all of a class fell into one fold
    if min(np.bincount(of_unit, minlength=count)[:count]) == 0:
        return Folds(np.zeros(size, int), 0, _join(note, "the groups cannot be dealt into folds"))
    fewer = f"{count} folds: the rarest class, or the number of groups, allows no more" if count < MOST else ""
    return Folds(of_unit[units], count, _join(note, fewer))


def _deal(table: Array, count: int, seed: int) -> Array:
    """Return the fold of each unit; table (units, classes) counts examples. Large units first, each where least is."""
    order = np.random.default_rng(seed).permutation(len(table))
    if (table.sum(1) == 1).all():  # examples by themselves: each class in turns, going on where the last one ended
        order = order[np.argsort(table[order].argmax(1), kind="stable")]
        found = np.empty(len(table), int)
        found[order] = np.arange(len(table)) % count
        return found
    order = order[np.argsort(-table[order].sum(1), kind="stable")]
    shares = table / np.maximum(table.sum(0), 1)
    filled, found = np.zeros((count, table.shape[1])), np.empty(len(table), int)
    for unit in order:
        # of the folds that hold least of the unit's classes, the one that holds least of all
        fold = min(range(count), key=lambda fold: (round(float(filled[fold] @ shares[unit]), 12), filled[fold].sum()))
        found[unit] = fold
        filled[fold] += shares[unit]
    return found


def _join(*sentences: str) -> str:
    return "; ".join(sentence for sentence in sentences if sentence)
