"""How strategies differ, and how sure that is: a paired bootstrap over examples and seeds.

All strategies see the same draws of test examples and the same draws of seeds, so what a draw makes easier or harder
for all of them leaves their differences alone. Examples, or whole groups, are drawn with replacement (Efron and
Tibshirani 1993, chapter 16). So few seeds cannot be drawn so: with replacement, the spread of five comes out a tenth
too small, and drawn crosswise with examples, the noise of single answers counts three times (Owen 2007, Annals of
Applied Statistics 1(2)). Instead a mean over R seeds moves by their luck times Student's t of R - 1 degrees, and luck
is the part of their variance that the noise of single answers does not explain. benchmarks/compare.py measures how
often the intervals hold the truth.

Shapes: B draws, R seeds, N examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from inarch import intervals
from inarch.answers import Answers
from inarch.errors import DataError

MOST_MEASURED = 25_000  # metrics of draws, over all cells; with more cells each has fewer draws, down to 400
FEWEST_DRAWS = 400
LUCKS = 4_000  # draws of seeds, at least: they cost nothing, and Student's t has long tails

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Measured:
    """What a strategy reached with each seed."""

    values: Mapping[int, float]
    """Seed to the metric of all examples."""
    drawn: Mapping[int, Array]
    """Seed to the metric of each draw of examples (B,)."""


@dataclass(frozen=True)
class Uncertain:
    """A mean over seeds, or a difference of two: what was found, and what it might have been (B,)."""

    value: float
    drawn: Array
    from_seeds: float
    """Share of the variance that comes from seeds, 0 to 1; 0 where there is one."""

    def interval(self) -> tuple[float, float]:
        """Return the ends of the 95 % percentile interval; NaN where the metric is undefined in half of the draws."""
        finite = self.drawn[np.isfinite(self.drawn)]
        if len(finite) < max(2, len(self.drawn) // 2):
            return np.nan, np.nan
        low, high = np.percentile(finite, [2.5, 97.5])
        return float(low), float(high)


@dataclass(frozen=True)
class Pair:
    """Two strategies; `value` above 0: the first is the better one."""

    first: str
    second: str
    value: float
    low: float
    high: float
    all_low: float
    """The ends of an interval that holds at 95 % together with those of all the other pairs."""
    all_high: float
    from_seeds: float
    seeds: Sequence[int]
    """Those that both have."""

    @property
    def is_told(self) -> bool:
        """Whether the interval says which one is better."""
        return self.low > 0 or self.high < 0


def align(answers: Sequence[Answers]) -> tuple[list[Answers], int]:
    """Return the answers to the examples that all of them have, and how many examples were left out; check that the
    right answers are the same."""
    common = set(answers[0].rows.tolist()).intersection(*(one.rows.tolist() for one in answers[1:]))
    if not common:
        raise DataError("the runs have no test example in common")
    kept = []
    for one in answers:
        places = np.flatnonzero([row in common for row in one.rows.tolist()])
        kept.append(one.select(one.rows.new_tensor(places)))
    for one in kept[1:]:
        found, first = one.targets, kept[0].targets
        same = found is first if found is None or first is None else found.equal(first)
        if not same or not one.rows.equal(kept[0].rows):
            raise DataError("the runs were tested on different targets, so they cannot be compared")
    return kept, max(len(one.rows) for one in answers) - len(common)


def draw_examples(answers: Answers, cells: int, seed: int = 0) -> list[Array]:
    """Return draws of examples, or of groups, for so many cells."""
    groups = None if answers.groups is None else answers.groups.tolist()
    most = int(np.clip(MOST_MEASURED // max(1, cells), FEWEST_DRAWS, intervals.RESAMPLES))
    return intervals.draws(len(answers.rows), groups, np.random.default_rng(seed), most)


def measure(name: str, metric: Any, cells: Mapping[int, Answers], drawn: Sequence[Array]) -> Measured:
    """Return a strategy's metric for each seed, on all examples and on each draw of them."""
    return Measured(
        {seed: one.value(name, metric) for seed, one in cells.items()},
        {seed: one.resampled(name, metric, drawn) for seed, one in cells.items()},
    )


def mean(measured: Measured, seeds: Sequence[int] | None = None) -> Uncertain:
    """Return a strategy's mean over seeds."""
    seeds = list(measured.values if seeds is None else seeds)
    return _over_seeds(
        np.array([measured.values[seed] for seed in seeds]),
        np.stack([measured.drawn[seed] for seed in seeds], axis=1),
        seeds,
    )


def difference(first: Measured, second: Measured) -> tuple[Uncertain, list[int]]:
    """Return how much larger the first one's mean is, over the seeds that both have, and those seeds."""
    seeds = [seed for seed in first.values if seed in second.values]
    if not seeds:
        raise DataError("they have no seed in common")
    found = _over_seeds(
        np.array([first.values[seed] - second.values[seed] for seed in seeds]),
        np.stack([first.drawn[seed] - second.drawn[seed] for seed in seeds], axis=1),
        seeds,
    )
    return found, seeds


def _over_seeds(values: Array, drawn: Array, seeds: Sequence[int]) -> Uncertain:
    """Return the mean of values (R,) and of each draw (B, R), moved by the luck of seeds.

    Each draw of examples meets several of seeds, so there are more draws than B: as many for any values.
    """
    drawn = np.tile(drawn, (-(-LUCKS // len(drawn)), 1))
    count, moved = len(seeds), drawn.mean(1)
    if count == 1:
        return Uncertain(float(values[0]), moved, 0.0)
    spread, defined = float(values.var(ddof=1)), np.isfinite(moved)
    if not defined.any():
        return Uncertain(float(values.mean()), moved, 0.0)
    noise = max(0.0, float(drawn[defined].var(1, ddof=1).mean()) - spread)  # of single answers; it is in `spread`, too
    luck = max(0.0, spread - noise)
    if not luck > 0:
        return Uncertain(float(values.mean()), moved, 0.0)
    random = [np.random.default_rng((1, seed)).standard_normal(len(drawn)) for seed in seeds]  # each seed has its own
    scale = np.sqrt((count - 1) / np.random.default_rng((2, count)).chisquare(count - 1, len(drawn)))
    weights = np.stack(random, axis=1) * np.sqrt(luck / spread / count / (count - 1))
    from_seeds = luck / count / (luck / count + float(moved[defined].var()))
    return Uncertain(float(values.mean()), moved + weights @ (values - values.mean()) * scale, from_seeds)


def compare(found: Mapping[str, Measured], larger_is_better: bool) -> list[Pair]:
    """Return every pair, the better one first, in the order of their means."""
    sign = 1 if larger_is_better else -1
    order = sorted(found, key=lambda label: -sign * mean(found[label]).value)
    pairs = []
    for first, second in combinations(order, 2):
        if set(found[first].values) & set(found[second].values):
            ordered = (first, second) if larger_is_better else (second, first)
            pairs.append((first, second, *difference(*(found[label] for label in ordered))))
    widen = _widening([uncertain for _, _, uncertain, _ in pairs])
    result = []
    for first, second, one, seeds in pairs:
        low, high = one.interval()
        ends = one.value - widen * (one.value - low), one.value + widen * (high - one.value)
        result.append(Pair(first, second, one.value, low, high, *ends, one.from_seeds, seeds))
    return result


def _widening(differences: Sequence[Uncertain]) -> float:
    """Return by how much intervals must be stretched for all to hold at once, at 95 %: by the largest of each draw, as
    Westfall and Young (1993) do with tests."""
    if len(differences) < 2:
        return 1.0
    shares = []
    for one in differences:
        low, high = one.interval()
        moved = one.drawn - one.value
        side = np.where(moved < 0, one.value - low, high - one.value)
        shares.append(np.abs(moved) / np.where(side > 0, side, np.inf))
    largest = np.nanmax(np.nan_to_num(np.stack(shares)), axis=0)
    return max(1.0, float(np.percentile(largest, 95)))
