"""A comparison in words."""

import math
from collections.abc import Collection, Sequence

from inarch.studies.comparison import Pair


class Unit:
    """How differences of a metric are told: shares in points of a hundred, other metrics as they are."""

    def __init__(self, points: bool) -> None:
        self.points = points

    def size(self, value: float) -> str:
        """Tell how large a difference is: ``1.8 points``."""
        return f"{self.number(value)} point{'' if self.number(value) == '1.0' else 's'}" if self.points else (
            self.number(value)
        )  # fmt: skip

    def number(self, value: float) -> str:
        """Tell a difference without its unit."""
        written = f"{100 * value:.1f}" if self.points else f"{value:.3g}"
        return written.removeprefix("-") if float(written) == 0 else written

    def value(self, value: float) -> str:
        """Tell a value of the metric: ``87.4 %``."""
        return f"{100 * value:.1f} %" if self.points else f"{value:.4g}"


def verdict(
    pairs: Sequence[Pair], examples: int, random: Collection[str], unit: Unit, groups: int | None = None
) -> list[str]:
    """Return what a comparison says, in sentences.

    random: labels of strategies that begin from random weights. groups: how many groups the test examples are of.
    """
    if not pairs:
        return ["Nothing can be compared: fewer than two strategies have a finished cell with the same seed."]
    best = pairs[0].first
    sentences = [_leading(best, [pair for pair in pairs if pair.first == best], unit)]
    sentences += _transfer(pairs, random, unit)
    sentences.append(_told_apart(pairs[0], examples, groups, unit))
    return [*sentences, *_at_once(pairs)]


def sentence(pair: Pair, unit: Unit) -> str:
    """Return what one pair says."""
    interval = f"95 % interval {unit.number(pair.low)} to {unit.number(pair.high)}"
    if math.isnan(pair.low):
        why = "the metric is not defined on most draws of the test examples"
        return f"{pair.first} is {unit.size(pair.value)} ahead of {pair.second}, without an interval: {why}"
    if pair.is_told:
        return f"{pair.first} is better than {pair.second} by {unit.size(pair.value)}, {interval}"
    return f"no difference can be told between {pair.first} and {pair.second}: {unit.size(pair.value)}, {interval}"


def _leading(best: str, pairs: Sequence[Pair], unit: Unit) -> str:
    """Tell how the others stand to the best one."""
    first, *rest = pairs
    told = [sentence(first, unit)]
    for pair in rest:
        ends = f"{unit.number(pair.low)} to {unit.number(pair.high)}"
        if pair.is_told:
            told.append(f"{pair.second} is {unit.size(pair.value)} behind {best}, {ends}")
        else:
            told.append(f"nor can {pair.second} be told from {best}: {unit.size(pair.value)}, {ends}")
    return _capital("; ".join(told)) + "."


def _transfer(pairs: Sequence[Pair], random: Collection[str], unit: Unit) -> list[str]:
    """Tell whether transfer helps: the best strategy with pretrained weights against the best one without."""
    for pair in pairs:  # in the order of their means: the first such pair is that of the two best
        if (pair.first in random) == (pair.second in random):
            continue
        helps, size = pair.second in random, unit.size(pair.value)
        transferred, alone = (pair.first, pair.second) if helps else (pair.second, pair.first)
        ends = f"95 % interval {unit.number(pair.low)} to {unit.number(pair.high)}"
        if not pair.is_told:
            return [f"Whether transfer helps cannot be told: {pair.first} is ahead of {pair.second} by {size}, {ends}."]
        if helps:
            return [f"Transfer helps by {size} ({transferred} against {alone}, {ends})."]
        return [
            f"Transfer does not help here: {alone} is better than {transferred} by {unit.size(pair.value)}, {ends}."
        ]
    return []


def _told_apart(pair: Pair, examples: int, groups: int | None, unit: Unit) -> str:
    """Tell what the comparison of the two best could have seen, and what it lacks if it saw nothing."""
    half = (pair.high - pair.low) / 2
    count = f"{len(pair.seeds)} seeds" if len(pair.seeds) > 1 else "one seed"
    tested = f"{examples:,} test examples" + (f" of {groups:,} groups" if groups else "")
    alone = " One seed says nothing of the luck of training: give --seeds 3 or more." if len(pair.seeds) == 1 else ""
    if math.isnan(half):
        return f"The two best are not told apart on {tested}.{alone}"
    if pair.low == pair.high == 0:
        return f"Measured with {count} on {tested}: in every draw the two best do equally well.{alone}"
    if pair.is_told:
        return f"Measured with {count} on {tested}: the two best are told apart from about {unit.size(half)} on.{alone}"
    more = "seeds" if pair.from_seeds > 0.5 else "groups of test examples" if groups else "test examples"
    return (
        f"Too little to tell the two best apart: with {count} on {tested}, a difference below about {unit.size(half)} "
        f"is not seen. More {more} would help most.{alone}"
    )


def _at_once(pairs: Sequence[Pair]) -> list[str]:
    """Tell what of it remains when all pairs are asked about at once."""
    if len(pairs) < 2:
        return []
    lost = [pair for pair in pairs if pair.is_told and pair.all_low <= 0 <= pair.all_high]
    if not lost:
        return [f"Each interval is that of one pair; all {len(pairs)} held at once say the same."]
    named = ", ".join(f"{pair.first} and {pair.second}" for pair in lost)
    return [
        f"Each interval is that of one pair. With all {len(pairs)} pairs held at once, no difference is told any more "
        f"between {named}."
    ]


def _capital(text: str) -> str:
    """Begin a sentence with a capital, unless a name stands there."""
    return f"No{text[2:]}" if text.startswith("no ") else text


def short(count: int) -> str:
    """Write a count to three digits: ``22.7 M``."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return str(count)
