"""Curves over the number of labels: a n^-b + c."""

import numpy as np
import pytest

from inarch.studies import label_efficiency
from inarch.studies.label_efficiency import Curve, fit, reach, told

SIZES = [50, 150, 500, 1500, 5000]


def synthetic(a: float, b: float, c: float, noise: float = 0.003, sizes: list[int] = SIZES) -> Curve:
    """Fit a known curve; the draws lie about it."""
    errors = a * np.array(sizes, dtype=float) ** -b + c
    drawn = errors + np.random.default_rng(0).normal(0, noise, (400, len(sizes)))
    return fit(sizes, errors, drawn)


@pytest.mark.parametrize(("a", "b", "c"), [(2.0, 0.5, 0.05), (1.0, 0.2, 0.0), (3.0, 0.8, 0.02), (5.0, 1.0, 0.1)])
def test_a_known_curve_is_found_again(a: float, b: float, c: float) -> None:
    curve = synthetic(a, b, c)
    assert curve.coefficients[1] == pytest.approx(b, rel=0.03)
    assert curve.error(np.array(SIZES)) == pytest.approx(a * np.array(SIZES) ** -b + c, abs=5e-4)
    assert curve.coefficients[2] == pytest.approx(c, abs=4e-3)


def test_the_band_and_the_labels_for_a_target_hold_the_truth() -> None:
    a, b, c = 2.0, 0.5, 0.05
    curve, sizes = synthetic(a, b, c), np.array([80.0, 1000.0, 4000.0])
    low, high = curve.band(sizes)
    assert (low < a * sizes**-b + c).all() and (a * sizes**-b + c < high).all()
    for labels in (300, 2000, 12_000):
        found = reach(curve, a * labels**-b + c)
        assert found.low < labels < found.high
        assert found.labels == pytest.approx(labels, rel=0.1)


def test_noisy_errors_leave_a_curve_less_sure() -> None:
    calm, noisy = (reach(synthetic(2.0, 0.5, 0.05, noise), 0.14) for noise in (0.002, 0.02))
    assert noisy.high - noisy.low > 3 * (calm.high - calm.low)


def test_a_target_below_what_labels_can_bring_is_refused_in_words() -> None:
    curve = synthetic(2.0, 0.5, 0.05)
    found = reach(curve, 0.03)
    assert found.labels == float("inf")
    assert told("full", found, curve, "accuracy 97 %").startswith(
        "full would need more than 10 times the data (50,000 labels) for accuracy 97 %, or never gets there"
    )


def test_a_curve_is_followed_beyond_the_data_but_not_far() -> None:
    curve = synthetic(2.0, 0.5, 0.05)
    near, far = (2.0 * labels**-0.5 + 0.05 for labels in (20_000, 120_000))
    assert "more than were measured" in told("full", reach(curve, near), curve, "it")
    assert reach(curve, far).labels == float("inf")


def test_a_target_that_the_fewest_labels_reach_is_said_to_be_easy() -> None:
    curve = synthetic(2.0, 0.5, 0.05)
    assert "reaches it with 50 labels or fewer" in told("full", reach(curve, 0.4), curve, "it")


def test_a_target_that_is_measured_itself_is_as_unsure_as_it_is() -> None:
    curve = synthetic(2.0, 0.5, 0.05)
    moving = 0.14 + np.random.default_rng(1).normal(0, 0.02, 400)
    fixed, measured = reach(curve, 0.14), reach(curve, 0.14, moving)
    assert measured.high - measured.low > 2 * (fixed.high - fixed.low)


def test_two_fractions_are_too_few_for_a_curve() -> None:
    with pytest.raises(ValueError, match="at least 3 fractions, found 2"):
        fit([50, 500], np.array([0.3, 0.2]), np.full((10, 2), 0.25))


def test_draws_in_which_a_metric_is_not_defined_are_left_out() -> None:
    errors = 2.0 * np.array(SIZES, dtype=float) ** -0.5
    drawn = errors + np.random.default_rng(0).normal(0, 0.003, (400, 5))
    drawn[::4, 0] = np.nan
    curve = fit(SIZES, errors, drawn)
    assert len(curve.drawn) == 300
    assert reach(curve, 0.1, np.full(400, 0.1)).labels == pytest.approx(400, rel=0.05)
    drawn[:] = np.nan
    with pytest.raises(ValueError, match="not defined on most draws"):
        fit(SIZES, errors, drawn)


def test_an_error_that_does_not_fall_is_taken_for_a_constant() -> None:
    curve = synthetic(-0.5, 0.3, 0.4)  # it rises
    assert label_efficiency.evaluate(curve.coefficients[None], np.array([50.0, 5000.0]))[0] == pytest.approx(
        [0.36, 0.36], abs=0.06
    )
    assert reach(curve, 0.2).labels == float("inf")
