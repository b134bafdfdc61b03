"""The paired bootstrap over examples and seeds, and what it says in words."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.regression import MeanAbsoluteError

from inarch.answers import Answers
from inarch.errors import DataError
from inarch.studies import comparison
from inarch.studies.comparison import Measured, Pair
from inarch.studies.verdict import Unit, verdict

POINTS = Unit(points=True)


def answers(right: np.ndarray, groups: np.ndarray | None = None) -> Answers:
    """Answers of a classifier of two classes that is right where `right` is true."""
    scores = torch.nn.functional.one_hot(torch.tensor(right).long(), 2).float()
    numbered = None if groups is None else torch.tensor(groups)
    return Answers(torch.arange(len(right)), numbered, scores, torch.ones(len(right), dtype=torch.long))


def measured(cells: Mapping[str, list[np.ndarray]], groups: np.ndarray | None = None) -> dict[str, Measured]:
    """Strategy to the right answers of each seed, measured on the same draws."""
    found = {label: {s: answers(right, groups) for s, right in enumerate(rights)} for label, rights in cells.items()}
    drawn = comparison.draw_examples(next(iter(found.values()))[0], 100)
    metric = MulticlassAccuracy(2, average="micro")
    return {label: comparison.measure("accuracy", metric, one, drawn) for label, one in found.items()}


def half_wide(right: float, examples: int) -> float:
    """Half the width of a share's 95 % interval."""
    return 1.96 * np.sqrt(right * (1 - right) / examples)


def test_strategies_that_err_on_the_same_examples_are_told_apart_better_than_each_alone_is_known() -> None:
    hard = np.arange(400) >= 80
    better = hard | (np.arange(400) < 12)
    found = measured({"first": [better], "second": [hard]})
    [pair] = comparison.compare(found, larger_is_better=True)
    alone = np.diff(comparison.mean(found["first"]).interval())[0]
    assert pair.value == pytest.approx(0.03)
    assert pair.high - pair.low < alone / 2
    assert 0 < pair.low < 0.03 < pair.high


def test_with_one_seed_the_interval_is_that_of_the_examples() -> None:
    right = np.arange(500) < 400
    mean = comparison.mean(measured({"one": [right]})["one"])
    low, high = mean.interval()
    assert mean.value == pytest.approx(0.8)
    assert (high - low) / 2 == pytest.approx(half_wide(0.8, 500), rel=0.2)
    assert mean.from_seeds == 0


def test_seeds_that_differ_more_than_their_answers_by_chance_widen_the_interval_by_students_t() -> None:
    random = np.random.default_rng(0)
    rights = [random.random(1000) < share for share in (0.6, 0.7, 0.8)]
    mean = comparison.mean(measured({"one": rights})["one"])
    low, high = mean.interval()
    assert (high - low) / 2 == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=0.15)  # t of 2 degrees, the examples' share
    assert mean.from_seeds > 0.8


def test_seeds_that_differ_no_more_than_answers_do_by_chance_add_nothing() -> None:
    random = np.random.default_rng(1)
    rights = [random.random(400) < 0.8 for _ in range(5)]  # no example is harder, no seed luckier
    low, high = comparison.mean(measured({"one": rights})["one"]).interval()
    assert (high - low) / 2 < 1.7 * half_wide(0.8, 5 * 400)


def test_groups_are_drawn_whole() -> None:
    speakers = np.repeat(np.arange(20), 20)
    first, second = (speakers < count for count in (16, 12))
    [alone] = comparison.compare(measured({"a": [first], "b": [second]}), larger_is_better=True)
    [grouped] = comparison.compare(measured({"a": [first], "b": [second]}, speakers), larger_is_better=True)
    ratio = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(np.sqrt(20), rel=0.3)


def test_where_less_is_better_the_smaller_mean_leads() -> None:
    targets = torch.linspace(0, 1, 50)
    found = {
        label: {0: Answers(torch.arange(50), None, targets + error, targets)}
        for label, error in {"far": 0.3, "near": 0.1}.items()
    }
    drawn = comparison.draw_examples(found["far"][0], 2)
    sizes = {label: comparison.measure("mae", MeanAbsoluteError(), one, drawn) for label, one in found.items()}
    [pair] = comparison.compare(sizes, larger_is_better=False)
    assert (pair.first, pair.second, pair.is_told) == ("near", "far", True)
    assert pair.value == pytest.approx(0.2, abs=1e-6)


def test_intervals_of_all_pairs_at_once_are_wider_and_a_single_pair_s_are_not() -> None:
    random = np.random.default_rng(2)
    rights = {label: [random.random(300) < share] for label, share in {"a": 0.8, "b": 0.75, "c": 0.7}.items()}
    pairs = comparison.compare(measured(rights), larger_is_better=True)
    assert len(pairs) == 3
    assert all(pair.all_low < pair.low and pair.all_high > pair.high for pair in pairs)
    [single] = comparison.compare(measured({label: rights[label] for label in "ab"}), larger_is_better=True)
    assert (single.all_low, single.all_high) == pytest.approx((single.low, single.high))


def test_strategies_are_compared_over_the_seeds_that_both_have() -> None:
    random = np.random.default_rng(3)
    found = measured({label: [random.random(100) < 0.8 for _ in range(3)] for label in ("a", "b")})
    less = Measured({s: v for s, v in found["b"].values.items() if s}, {s: v for s, v in found["b"].drawn.items() if s})
    [pair] = comparison.compare({"a": found["a"], "b": less}, larger_is_better=True)
    assert list(pair.seeds) == [1, 2]


def test_runs_are_compared_on_the_examples_that_all_of_them_could_read() -> None:
    whole, part = answers(np.ones(5)), answers(np.ones(5)).select(torch.tensor([0, 2, 4]))
    aligned, lost = comparison.align([whole, part])
    assert [one.rows.tolist() for one in aligned] == [[0, 2, 4]] * 2
    assert lost == 2


def test_runs_on_other_targets_are_not_compared() -> None:
    other = Answers(torch.arange(5), None, torch.ones(5, 2), torch.zeros(5, dtype=torch.long))
    with pytest.raises(DataError, match="tested on different targets"):
        comparison.align([answers(np.ones(5)), other])


def pair(first: str, second: str, value: float, low: float, high: float, **changes: object) -> Pair:
    facts = {"all_low": low, "all_high": high, "from_seeds": 0.2, "seeds": [0, 1, 2, 3, 4], **changes}
    return Pair(first, second, value, low, high, **facts)  # type: ignore[arg-type]


def test_the_verdict_names_the_best_the_rest_and_what_transfer_is_worth() -> None:
    pairs = [
        pair("full", "probe", 0.018, 0.004, 0.031),
        pair("full", "scratch", 0.31, 0.28, 0.34),
        pair("probe", "scratch", 0.292, 0.26, 0.32),
    ]
    leading, transfer, power, at_once = verdict(pairs, 500, {"scratch"}, POINTS)
    assert leading == (
        "full is better than probe by 1.8 points, 95 % interval 0.4 to 3.1; "
        "scratch is 31.0 points behind full, 28.0 to 34.0."
    )
    assert transfer == "Transfer helps by 31.0 points (full against scratch, 95 % interval 28.0 to 34.0)."
    assert "5 seeds on 500 test examples" in power
    assert at_once == "Each interval is that of one pair; all 3 held at once say the same."


def test_a_difference_that_cannot_be_told_is_called_so_with_what_would_help() -> None:
    pairs = [pair("lora", "full", 0.004, -0.012, 0.02, from_seeds=0.7)]
    leading, power = verdict(pairs, 60, set(), POINTS)
    assert leading == "No difference can be told between lora and full: 0.4 points, 95 % interval -1.2 to 2.0."
    assert power.startswith("Too little to tell the two best apart: with 5 seeds on 60 test examples")
    assert "below about 1.6 points" in power and "More seeds would help most" in power


def test_transfer_that_does_harm_is_told() -> None:
    pairs = [pair("scratch", "full", 0.05, 0.02, 0.08)]
    assert verdict(pairs, 90, {"scratch"}, POINTS)[1].startswith("Transfer does not help here: scratch is better than")


def test_what_one_pair_says_may_not_hold_for_all_pairs_at_once() -> None:
    pairs = [
        pair("a", "b", 0.02, 0.001, 0.04, all_low=-0.005, all_high=0.05),
        pair("a", "c", 0.03, 0.01, 0.05),
        pair("b", "c", 0.01, -0.01, 0.03),
    ]
    assert verdict(pairs, 90, set(), POINTS)[-1] == (
        "Each interval is that of one pair. With all 3 pairs held at once, no difference is told any more between "
        "a and b."
    )


def test_one_seed_says_nothing_of_luck_and_numbers_keep_their_unit() -> None:
    pairs = [pair("near", "far", 2.5, 1.0, 4.0, seeds=[0])]
    leading, power = verdict(pairs, 90, set(), Unit(points=False))
    assert leading == "near is better than far by 2.5, 95 % interval 1 to 4."
    assert power.endswith("One seed says nothing of the luck of training: give --seeds 3 or more.")


def test_nothing_to_compare_is_said() -> None:
    assert verdict([], 90, set(), POINTS) == [
        "Nothing can be compared: fewer than two strategies have a finished cell with the same seed."
    ]
