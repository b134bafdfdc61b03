"""Backbones in the order of what fine-tuning them promises: scores, standing elsewhere and cost made one.

Shapes: M backbones, B draws of examples. Points are hundredths of what the probe is measured by (accuracy, R2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inarch.studies import transferability

Array = np.ndarray[Any, np.dtype[Any]]

# Fitted by `benchmarks/ranking.py --fit` to fine-tuned accuracies of benchmarks/results/ranking_truth.json: ridge
# regression of each backbone's standing on what is known without fine-tuning it, towards equal weights.
WEIGHTS = {"standing": 0.38, "probe": 0.21, "neighbours": 0.21, "logme": 0.18, "h_score": 0.03}
SURPRISE = 0.38
"""Deviation of a backbone's fine-tuned standing from the combination, in standard deviations of the field."""
SPREAD = 1.48
"""Standard deviation of fine-tuned results in a field, over that of the probe's."""

DRAWS = 50
_SURPRISES = 40  # for each draw of examples
_SEED = 0
NEAR = 1.0
"""Points: a cheaper backbone that is expected to be this close to the best is told."""


@dataclass(frozen=True)
class Data:
    """What features are compared with."""

    columns: Array
    """(N, C): classes and labels as 0 and 1, numbers standardised."""
    classes: Array | None
    """(N,), where there is one class each."""
    groups: Sequence[Any] | None
    halves: Array
    """(B, N // 2): draws of half of the examples without replacement, which vary as the bootstrap's do."""

    @classmethod
    def of(cls, columns: Array, classes: Array | None, groups: Sequence[Any] | None) -> "Data":
        """Draw the halves: equal for all backbones, so that differences are paired."""
        random = np.random.default_rng(_SEED)
        half = max(2, len(columns) // 2)
        halves = np.stack([np.sort(random.permutation(len(columns))[:half]) for _ in range(DRAWS)])
        return cls(columns, classes, groups, halves)


@dataclass(frozen=True)
class Scored:
    """One backbone: what was measured of it, and what is known of it."""

    name: str
    scores: Mapping[str, float]
    draws: Mapping[str, Array]
    """Score to its values on each draw, (B,)."""
    standing: float | None
    parameters: int
    milliseconds: float
    """Of one forward pass, per example."""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """One backbone in the ranking."""

    name: str
    expected: float
    """Points above the mean of the field that fine-tuning it is expected to reach."""
    low: float
    high: float
    """The 95 % interval of that."""
    best: float
    """The probability that it is the best of the field."""
    regret: float
    """Points that taking it is expected to cost against the best one."""
    regret_high: float
    """What it costs at most, with 95 % probability."""
    rank_low: int
    rank_high: int
    """The ranks, from 1, that it takes with 95 % probability."""
    scored: Scored


def score(features: Array, data: Data, source: Array | None = None) -> tuple[dict[str, float], dict[str, Array]]:
    """Return every score of features (N, D), and its value on every draw. source: probabilities of a source head."""
    width = features.shape[1]
    compact = transferability.compact(features)
    strata = np.zeros(len(data.columns), np.int64) if data.classes is None else data.classes
    folds = transferability.make_folds(strata, data.groups)
    probed = transferability.probe(features, data.columns, folds)
    near = transferability.neighbours(compact, data.columns, data.groups)
    hits = {name: transferability.hits(answers, data.columns, data.classes)
            for name, answers in (("probe", probed), ("neighbours", near))}  # fmt: skip
    scores = {name: float(values.mean()) for name, values in hits.items()}
    draws = {name: values[data.halves].mean(1) for name, values in hits.items()}
    scores["logme"] = transferability.logme(compact, data.columns, width)
    draws["logme"] = np.array([transferability.logme(compact[h], data.columns[h], width) for h in data.halves])
    if data.classes is not None:
        classes = data.classes
        scores["h_score"] = transferability.h_score(compact, classes, width)
        draws["h_score"] = np.array([transferability.h_score(compact[h], classes[h], width) for h in data.halves])
        if source is not None:
            scores["leep"], scores["nce"] = transferability.leep(source, classes), transferability.nce(source, classes)
    return scores, draws


def standings(values: Array) -> Array:
    """Return values (M,) as distances from their mean in standard deviations; equal values as zeros."""
    spread = values.std()
    return np.asarray((values - values.mean()) / spread if spread > 1e-12 else np.zeros(len(values)))


def known(field: Sequence[Scored]) -> dict[str, tuple[Array, Array]]:
    """Return what the combination is made of: name to values (M,) and draws (B, M), as standings in the field.

    Standings elsewhere are so already, of a wider field, and keep their differences. A backbone that nobody measured
    elsewhere stands in the middle; a score that half of the examples do not give, as that of a class which is not among
    them, is that of all.
    """
    found = {}
    for name in WEIGHTS:
        if name == "standing":
            elsewhere = [one.standing for one in field if one.standing is not None]
            middle = float(np.mean(elsewhere)) if elsewhere else 0.0
            values = np.array([middle if one.standing is None else one.standing for one in field])
            found[name] = values - values.mean(), np.tile(values - values.mean(), (DRAWS, 1))
        elif all(name in one.scores for one in field):
            values = np.array([one.scores[name] for one in field])
            draws = np.stack([one.draws[name] for one in field], 1)
            draws = draws - draws.mean(1, keepdims=True) + values.mean()
            spread = values.std()
            scaled = (draws - values.mean()) / spread if spread > 1e-12 else np.zeros_like(draws)
            found[name] = standings(values), np.where(np.isfinite(scaled), scaled, standings(values))
    return found


def combine(field: Sequence[Scored], weights: Mapping[str, float] = WEIGHTS) -> list[Place]:
    """Return the backbones, best first, with how sure that is.

    The draws tell what other examples would have said; what no score knows of a fine-tuning is drawn beside them.
    """
    parts = known(field)
    share = sum(weights.values()) / max(sum(weights[name] for name in parts), 1e-12)  # of scores that are not defined
    middle = share * np.sum([weights[name] * values for name, (values, _) in parts.items()], axis=0)
    draws = share * np.sum([weights[name] * drawn for name, (_, drawn) in parts.items()], axis=0)
    probes = np.clip([one.scores["probe"] for one in field], 0.0, 1.0)  # an R2 below 0 is as good as none
    points = 100 * SPREAD * max(float(np.std(probes)), 0.005)
    random = np.random.default_rng(_SEED)
    surprise = SURPRISE * random.standard_normal((_SURPRISES, DRAWS, len(field)))
    futures = points * (draws + surprise).reshape(-1, len(field))
    expected = points * middle
    places = [_place(one, float(expected[index]), futures, index) for index, one in enumerate(field)]
    return sorted(places, key=lambda place: (-place.expected, place.scored.milliseconds, place.name))


def _place(one: Scored, expected: float, futures: Array, index: int) -> Place:
    """Return what the futures (F, M), points that all backbones might reach, say of one."""
    mine = futures[:, index]
    lost = futures.max(1) - mine
    ranks = 1 + (futures > mine[:, None]).sum(1)
    low, high = np.percentile(mine, [2.5, 97.5])
    first, last = np.percentile(ranks, [2.5, 97.5], method="nearest")
    return Place(
        name=one.name,
        expected=expected,
        low=float(low),
        high=float(high),
        best=float((lost == 0).mean()),
        regret=float(lost.mean()),
        regret_high=float(np.percentile(lost, 95)),
        rank_low=int(first),
        rank_high=int(last),
        scored=one,
    )


def verdict(places: Sequence[Place], baseline: float) -> list[str]:
    """Return what to take and how sure that is, in sentences. baseline: the probe's measure of the commonest answer."""
    first, others = places[0], places[1:]
    lines = [
        f"Take {first.name}: it is the best of these {len(places)} with a probability of {first.best:.0%}; taking it "
        f"is expected to cost {first.regret:.1f} points against the best (with 95 % probability at most "
        f"{first.regret_high:.1f})."
    ]
    close = [place.name for place in others if place.best >= first.best / 2]
    if first.best < 0.5 and close:
        lines.append(f"These examples do not tell it from {', '.join(close)}: fine-tune them all to be sure.")
    cheaper = [place for place in others if place.scored.milliseconds < 0.7 * first.scored.milliseconds]
    cheap = next((place for place in cheaper if first.expected - place.expected <= NEAR), None)
    if cheap:
        lines.append(
            f"{cheap.name} takes {cheap.scored.milliseconds / first.scored.milliseconds:.0%} of its time and is "
            f"expected {max(first.expected - cheap.expected, 0):.1f} points behind."
        )
    if max(place.scored.scores["probe"] for place in places) <= baseline + 0.005:
        lines.append("No probe does better than always giving the commonest answer: nothing here seems to transfer.")
    alone = {
        name: max(places, key=lambda place: place.scored.scores[name]).name
        for name in ("probe", "neighbours", "logme")
        if all(name in place.scored.scores for place in places)
    }
    other = {name: taken for name, taken in alone.items() if taken != first.name}
    if other:
        lines.append("Alone, " + ", ".join(f"{name} would take {taken}" for name, taken in other.items()) + ".")
    return lines
