"""What labels are worth: a comparison's curves over shares of the labels, and how many labels a target takes."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from inarch.studies import comparison, label_efficiency
from inarch.studies.verdict import Unit

if TYPE_CHECKING:
    from inarch.workflows.outcome import Outcome

BAND = 60  # points of a drawn curve


def curves(outcome: "Outcome") -> tuple[dict[str, Any], float | None]:
    """Return each strategy's curve over labels with what it says of the target, and the target."""
    last = outcome.plan.fractions[-1]
    sign = -1 if outcome.larger_is_better else 1
    best = min(outcome.measured[last], key=lambda label: sign * comparison.mean(outcome.measured[last][label]).value)
    reached = comparison.mean(outcome.measured[last][best])
    given = outcome.plan.target
    target = reached.value if given is None else given
    found: dict[str, Any] = {}
    for candidate in outcome.plan.candidates:
        label = candidate.label
        try:
            curve = _curve(outcome, label)
        except ValueError as error:
            found[label] = {"told": f"{label}: no curve: {error}"}
            continue
        drawn = None if given is not None else _error(outcome, reached.drawn)
        reach = label_efficiency.reach(curve, float(_error(outcome, np.array(target))), drawn)
        aim = f"{outcome.plan.metric} {Unit(outcome.is_share).value(target)}"
        aim += f" (what {best} reaches with all labels)" if given is None and label != best else ""
        own = given is None and label == best
        found[label] = {
            **_drawn(outcome, curve),
            "reach": {"labels": or_none(reach.labels), "low": or_none(reach.low), "high": or_none(reach.high)},
            "told": None if own else label_efficiency.told(label, reach, curve, aim),
        }
    return found, target


def _curve(outcome: "Outcome", label: str) -> label_efficiency.Curve:
    fractions = [fraction for fraction in outcome.plan.fractions if label in outcome.measured[fraction]]
    means = [comparison.mean(outcome.measured[fraction][label]) for fraction in fractions]
    sizes = [outcome.of(label, fraction)[0].labels for fraction in fractions]
    errors = _error(outcome, np.array([mean.value for mean in means]))
    if (errors < 0).any():
        raise ValueError(f"{outcome.plan.metric} is above 1, so there is no error that labels could bring down to 0")
    return label_efficiency.fit(sizes, errors, _error(outcome, np.stack([mean.drawn for mean in means], axis=1)))


def _error(outcome: "Outcome", values: Any) -> Any:
    """Return errors for values of the metric, and values for errors: what is missing to 1, or the value itself."""
    return 1 - values if outcome.larger_is_better else values


def _drawn(outcome: "Outcome", curve: label_efficiency.Curve) -> dict[str, Any]:
    """Return a curve as numbers: its coefficients with intervals, and a line with its band over the sizes measured."""
    sizes = np.geomspace(curve.sizes[0], curve.sizes[-1], BAND)
    ends = [_error(outcome, end) for end in curve.band(sizes)]
    low, high = np.minimum(*ends), np.maximum(*ends)
    limits = np.percentile(curve.drawn, [2.5, 97.5], axis=0)
    named = {
        name: {"value": float(value), "low": float(least), "high": float(most)}
        for name, value, least, most in zip("abc", curve.coefficients, *limits, strict=True)
    }
    lines = {"sizes": sizes, "values": _error(outcome, curve.error(sizes)), "low": low, "high": high}
    return {**named, **{name: line.tolist() for name, line in lines.items()}}


def or_none(value: float) -> float | None:
    """Return a number, or None for one that JSON cannot write."""
    return value if math.isfinite(value) else None
