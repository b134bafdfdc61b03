"""How a strategy's error falls with the number of labelled examples: error(n) = a n^-b + c.

The form of Cortes and others (1993, NeurIPS, "Learning curves: asymptotic values and rate of convergence"), found again
for deep networks over many domains by Hestness and others (arXiv 1712.00409). c is what no number of labels removes.
The fit is by weighted least squares: for each exponent of a grid, a and c at least 0 have a closed form.

Shapes: F sizes, B draws, E exponents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FEWEST_SIZES = 3
FARTHEST = 10.0
"""How many times the largest size a curve is followed; beyond it the form is a guess."""
EXPONENTS = np.geomspace(0.02, 3, 240)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Curve:
    """The fitted curve, and those of the draws."""

    sizes: Array
    """Examples (F,)."""
    coefficients: Array
    """a, b, c (3,)."""
    drawn: Array
    """Those of the draws in which the errors are defined."""
    defined: Array
    """Which draws these are (B,)."""

    def error(self, sizes: Array) -> Array:
        """Return the error at some sizes."""
        found: Array = evaluate(self.coefficients[None], sizes)[0]
        return found

    def band(self, sizes: Array) -> tuple[Array, Array]:
        """Return the ends of the 95 % interval of the error at some sizes."""
        low, high = np.percentile(evaluate(self.drawn, sizes), [2.5, 97.5], axis=0)
        return low, high


@dataclass(frozen=True)
class Reach:
    """How many labels a target takes; `inf` beyond `FARTHEST` times the data."""

    labels: float
    low: float
    high: float


def fit(sizes: Sequence[int], errors: Array, drawn: Array) -> Curve:
    """Return the curve through errors (F,) at sizes (F,), and those through what the errors might have been (B, F).

    Draws in which an error is not defined are left out. Raises ValueError with the reason where there is no curve.
    """
    if len(sizes) < FEWEST_SIZES:
        raise ValueError(f"a curve has three unknowns: it takes at least {FEWEST_SIZES} fractions, found {len(sizes)}")
    defined = np.asarray(np.isfinite(drawn).all(1))
    drawn = drawn[defined]
    if len(drawn) < len(defined) / 2 or not np.isfinite(errors).all():
        raise ValueError("the metric is not defined on most draws of the test examples")
    numbers = np.asarray(sizes, dtype=float)
    variance = drawn.var(0)
    weights = 1 / np.maximum(variance, 1e-3 * variance.max() + 1e-12)  # no error counts for certain
    return Curve(numbers, _fit(numbers, errors[None], weights)[0], _fit(numbers, drawn, weights), defined)


def evaluate(coefficients: Array, sizes: Array) -> Array:
    """Return the errors (B, F) of curves (B, 3)."""
    a, b, c = (coefficients[:, index, None] for index in range(3))
    found: Array = a * sizes**-b + c
    return found


def _fit(sizes: Array, errors: Array, weights: Array) -> Array:
    """Return the best a, b, c (B, 3) for errors (B, F)."""
    scale = sizes[-1]  # sizes as shares of the largest: a n^-b is of the errors' order then
    powers = (sizes / scale) ** -EXPONENTS[:, None]  # (E, F)
    total, ones = weights.sum(), errors @ weights  # (), (B,)
    first, second = powers @ weights, (powers**2) @ weights  # (E,)
    mixed = (errors * weights) @ powers.T  # (B, E)
    free_a = (total * mixed - first * ones[:, None]) / (total * second - first**2)
    free_c = (ones[:, None] - free_a * first) / total
    a = np.where(free_c >= 0, free_a, mixed / second)
    c = np.where(free_c >= 0, free_c, 0.0)
    flat = a < 0  # an error that rises with labels is taken for a constant
    a, c = np.where(flat, 0.0, a), np.where(flat, np.maximum(ones / total, 0)[:, None], c)
    lost = ((a[..., None] * powers + c[..., None] - errors[:, None]) ** 2 * weights).sum(-1)  # (B, E)
    best = lost.argmin(1)
    rows = np.arange(len(errors))
    exponents = EXPONENTS[best]
    return np.stack([a[rows, best] * scale**exponents, exponents, c[rows, best]], axis=1)


def reach(curve: Curve, target: float, drawn: Array | None = None) -> Reach:
    """Return how many labels bring the error down to a target, with the 95 % interval over draws.

    drawn: what the target might have been (B,), where it is itself measured.
    """
    farthest = FARTHEST * curve.sizes[-1]
    labels = _labels(curve.coefficients[None], np.array([target]))[0]
    targets = np.full(len(curve.drawn), target) if drawn is None else drawn[curve.defined]
    found = np.sort(_labels(curve.drawn, targets))
    low, high = (float(found[round(share * (len(found) - 1))]) for share in (0.025, 0.975))
    return Reach(*(number if number <= farthest else float("inf") for number in (float(labels), low, high)))


def _labels(coefficients: Array, targets: Array) -> Array:
    a, b, c = coefficients.T
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        found = np.where(targets > c, (a / (targets - c)) ** (1 / b), np.inf)
    return np.where(np.isnan(found), np.inf, found)


def told(label: str, found: Reach, curve: Curve, target: str) -> str:
    """Return the answer in words."""
    least, most = round(curve.sizes[0]), round(curve.sizes[-1])
    farthest = f"{FARTHEST:.0f} times the data"
    if found.labels == np.inf:
        rest = f", and at least {_number(found.low)}" if least < found.low < np.inf else ""
        never = f"for {target}, or never gets there{rest}; farther than that the curve is not followed"
        return f"{label} would need more than {farthest} ({round(FARTHEST * most):,} labels) {never}."
    end = _number(found.high) if found.high < np.inf else f"more than {farthest}"
    ends = f"95 % interval {_number(found.low)} to {end}"
    if found.labels <= least:
        return f"{label} reaches {target} with {least:,} labels or fewer, the smallest fraction measured ({ends})."
    beyond = ", more than were measured: the curve is followed beyond the data" if found.labels > 1.05 * most else ""
    return f"{label} reaches {target} with about {_number(found.labels)} labels, {ends}{beyond}."


def _number(labels: float) -> str:
    """Write a number of labels to two digits: no curve knows more."""
    if labels < 1:
        return "1"
    step = 10 ** max(0, int(np.log10(labels)) - 1)
    return f"{round(labels / step) * step:,}"
