"""Metrics over pairs: cases by hand, resamples, blocks, and splits in which they are not defined."""

import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from trials import PEOPLE, VOICES, equal_error, least_cost

from inarch import Targets
from inarch.builtin import metrics, verification_metrics
from inarch.intervals import estimate

IDENTITIES = Targets("identities", ("a", "b"))
BOTH = {"equal_error_rate": metrics.equal_error_rate, "min_dcf": metrics.min_dcf}


def at(*degrees: float) -> torch.Tensor:
    """Return embeddings of length 2 in the plane."""
    radians = torch.deg2rad(torch.tensor(degrees))
    return 2 * torch.stack([radians.cos(), radians.sin()], 1)


def measure(name: str, embeddings: torch.Tensor, people: Any, **options: float) -> float:
    metric = BOTH[name](IDENTITIES, **options)
    metric.update(embeddings, torch.tensor(people))
    return float(metric.compute())


def test_identities_that_lie_apart_make_no_errors() -> None:
    for name in BOTH:
        assert measure(name, at(0, 10, 90, 100), [0, 0, 1, 1]) == 0


def test_errors_by_hand() -> None:
    # of one identity: 10 and 50 degrees apart; of two: 20, 30, 70 and 80. Accepting up to 50 degrees misses nothing and
    # accepts 2 of 4 falsely, up to 10 misses 1 of 2: the line from (0.5, 0) up to (0.5, 0.5) to the right is at 0.5
    voices, people = at(0, 10, 30, 80), [0, 0, 1, 1]
    assert measure("equal_error_rate", voices, people) == pytest.approx(0.5)
    assert measure("min_dcf", voices, people, p_target=0.5) == pytest.approx(0.5)  # no false alarm, half is missed
    assert measure("min_dcf", voices, people, p_target=0.5, c_miss=5) == pytest.approx(0.5)  # no miss, 2 of 4 accepted
    assert measure("min_dcf", voices, people, p_target=0.99) == pytest.approx(0.5)
    assert measure("min_dcf", voices, people, p_target=0.5, c_miss=0.1) == pytest.approx(0.5)


def test_the_rate_lies_on_the_line_between_two_thresholds() -> None:
    # of one identity: 10, 40, 50; of two: 30, 60, 70, 90, 100, 110, 120, 130, 140 ... up to 40 misses 1/3 and accepts
    # one of n falsely, up to 50 misses nothing: the curve falls from 1/3 to 0 where 1 / n is accepted falsely
    voices, people = at(0, 10, 50, 80, 170), [0, 0, 0, 1, 2]
    assert measure("equal_error_rate", voices, people) == pytest.approx(1 / 7)


def test_a_model_that_sees_no_difference_is_right_half_of_the_time() -> None:
    assert measure("equal_error_rate", at(5, 5, 5, 5), [0, 0, 1, 1]) == pytest.approx(0.5)
    assert measure("min_dcf", at(5, 5, 5, 5), [0, 0, 1, 1]) == pytest.approx(1)


@pytest.mark.parametrize("people", [[0, 0, 0], [0, 1, 2], [0]])
def test_without_both_kinds_of_pairs_there_is_no_value_and_no_interval(people: list[int]) -> None:
    for name, build in BOTH.items():
        assert math.isnan(measure(name, at(*range(len(people))), people))
        found = estimate({name: build(IDENTITIES)}, at(*range(len(people))), torch.tensor(people), None)[name]
        assert math.isnan(found.value) and found.low is None


def test_embeddings_that_are_no_numbers_have_no_value() -> None:
    assert math.isnan(measure("equal_error_rate", torch.full((4, 2), torch.nan), [0, 0, 1, 1]))


def test_resampling_weighs_pairs_and_never_compares_copies() -> None:
    random = np.random.default_rng(0)
    draws = [random.integers(0, 200, 200) for _ in range(6)]
    times = [np.bincount(draw, minlength=200) for draw in draws]
    for name, expected in (("equal_error_rate", equal_error), ("min_dcf", least_cost)):
        found = BOTH[name](IDENTITIES).resampled(torch.tensor(VOICES), torch.tensor(PEOPLE), draws)
        assert found == pytest.approx([expected(counts) for counts in times], abs=1e-4)


def test_every_example_once_is_the_value_itself_and_one_identity_alone_is_none() -> None:
    for build in BOTH.values():
        metric = build(IDENTITIES)
        metric.update(torch.tensor(VOICES), torch.tensor(PEOPLE))
        alone = np.flatnonzero(PEOPLE == 3)
        once, none = metric.resampled(torch.tensor(VOICES), torch.tensor(PEOPLE), [np.arange(200), alone])
        assert once == pytest.approx(float(metric.compute()), abs=1e-6) and math.isnan(none)


def test_no_draw_costs_more_than_a_system_that_always_says_no() -> None:
    voices, people = at(0, 90, 10, 100), [0, 0, 1, 1]  # some of two identities are the most alike
    [cost] = BOTH["min_dcf"](IDENTITIES).resampled(voices, torch.tensor(people), [np.arange(4)])
    assert cost == measure("min_dcf", voices, people) == 1


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {name: measure(name, torch.tensor(VOICES), PEOPLE) for name in BOTH}
    monkeypatch.setattr(verification_metrics, "BLOCK", 700)  # three examples with all others
    for name, value in expected.items():
        assert measure(name, torch.tensor(VOICES), PEOPLE) == pytest.approx(value, abs=1e-6)


def test_the_interval_of_a_sample_of_pairs_is_near_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def interval() -> tuple[float, float]:
        metric = metrics.equal_error_rate(IDENTITIES)
        found = estimate({"e": metric}, torch.tensor(VOICES), torch.tensor(PEOPLE), list(PEOPLE))["e"]
        assert found.low is not None and found.low < found.value < found.high
        return found.low, found.high

    exact = interval()
    monkeypatch.setattr(verification_metrics, "MOST_RESAMPLED", 5_000)  # of 18,905 pairs of two identities
    assert interval() == pytest.approx(exact, abs=0.01)


def test_embeddings_that_are_all_nearly_alike_are_still_told_apart() -> None:
    close = torch.tensor(VOICES) + 1000 * torch.ones(8)
    centred = close.double() - 1000
    assert measure("equal_error_rate", close, PEOPLE) < 0.45 and centred.std() > 1


def test_an_interval_takes_seconds() -> None:
    people = np.arange(300) % 50
    voices = torch.randn(50, 32)[people] + 1.5 * torch.randn(300, 32)
    started = time.process_time()
    estimate({"e": metrics.equal_error_rate(IDENTITIES)}, voices, torch.tensor(people), None)
    assert time.process_time() - started < 15  # measured: 1.5, and of 1,000 examples or more 5 to 11
