"""Intervals by the bootstrap."""

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassAveragePrecision
from torchmetrics.regression import MeanAbsoluteError, PearsonCorrCoef, R2Score

from inarch.intervals import Estimate, draws, estimate


def accuracy_of(right: np.ndarray, groups: list[int] | None = None, seed: int = 0) -> Estimate:
    """The accuracy of a classifier that is right where `right` is 1."""
    scores = torch.nn.functional.one_hot(torch.tensor(right).long(), 2).float()
    ones = torch.ones(len(right), dtype=torch.long)
    return estimate({"a": MulticlassAccuracy(2, average="micro")}, scores, ones, groups, seed)["a"]


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    trials = 25  # evenly spread over the distribution of right answers out of 80, each right with 0.8
    rights = binom.ppf((np.arange(trials) + 0.5) / trials, 80, 0.8)
    found = [accuracy_of(np.arange(80) < right) for right in rights]
    assert 0.88 <= np.mean([each.low <= 0.8 <= each.high for each in found]) <= 0.98


def test_an_interval_is_as_wide_as_that_of_a_binomial() -> None:
    found = accuracy_of(np.arange(400) < 300)
    expected = 2 * 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert found.value == pytest.approx(0.75)
    assert found.high - found.low == pytest.approx(expected, rel=0.15)


def test_groups_are_resampled_whole_so_that_dependent_examples_widen_the_interval() -> None:
    right = np.repeat(np.arange(20) < 15, 20)  # twenty speakers, each all right or all wrong
    alone, grouped = accuracy_of(right), accuracy_of(right, list(np.repeat(np.arange(20), 20)))
    assert grouped.value == alone.value
    assert (grouped.high - grouped.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(20), rel=0.25)


def test_the_same_seed_gives_the_same_interval() -> None:
    scores = torch.linspace(0, 1, 50)
    found = [estimate({"mae": MeanAbsoluteError()}, scores, 1 - scores, None, seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


@pytest.mark.filterwarnings("ignore:.*No (negative|positive) samples:UserWarning")  # that is the case tested
def test_a_resample_on_which_a_metric_is_not_defined_does_not_break_the_interval() -> None:
    scores = torch.tensor([[0.9, 0.1]] * 9 + [[0.2, 0.8]])
    targets = torch.tensor([0] * 9 + [1])
    found = estimate({"auroc": MulticlassAUROC(2)}, scores, targets, None)["auroc"]
    assert found.value == pytest.approx(1.0)
    assert found.low is None or 0 <= found.low <= found.high <= 1


class Share(Metric):
    """The share of predictions that say what the raw target says; counts its updates."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("seen", torch.tensor(0.0), dist_reduce_fx="sum")
        self.updates = 0

    def update(self, predictions: list[dict[str, str]], targets: list[str]) -> None:
        self.updates += 1
        self.seen += len(targets)
        self.right += sum(p["class"] == target for p, target in zip(predictions, targets, strict=True))

    def compute(self) -> torch.Tensor:
        return self.right / self.seen


def test_a_metric_on_predictions_has_the_interval_of_the_same_one_on_scores_and_sees_each_example_once() -> None:
    right, share = np.arange(60) < 40, Share()
    predictions = [{"class": "yes" if each else "no"} for each in right]
    found = estimate({"share": share}, predictions, ["yes"] * 60, None)["share"]
    other = accuracy_of(right)
    assert (found.value, found.low, found.high) == pytest.approx((other.value, other.low, other.high))
    assert share.updates == 1 + 60


def test_a_metric_that_is_not_defined_on_one_example_is_not_a_number() -> None:
    found = estimate({"r2": R2Score()}, torch.ones(1), torch.ones(1), None)["r2"]
    assert np.isnan(found.value) and found.low is None


def test_a_class_without_an_example_is_no_warning() -> None:
    truth = torch.tensor([0, 1, 0, 1])
    found = estimate({"x": MulticlassAveragePrecision(3, average="macro")}, torch.eye(3)[truth], truth, None)["x"]
    assert found.value == 1  # the mean of the other two


def test_values_that_are_all_alike_are_no_warning() -> None:
    found = estimate({"pearson": PearsonCorrCoef()}, torch.ones(9), torch.arange(9.0), None)["pearson"]
    assert np.isnan(found.value) and found.low is None


def test_one_example_gives_a_value() -> None:
    found = estimate({"mae": MeanAbsoluteError()}, torch.tensor([1.0]), torch.tensor([3.0]), None)["mae"]
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_an_estimate_reads_with_its_interval_and_without() -> None:
    assert str(Estimate(0.5)) == "0.5000"
    assert str(Estimate(0.5, 0.25, 0.75)) == "0.5000 [0.2500, 0.7500]"


def test_many_examples_are_resampled_less_often_so_that_they_take_seconds() -> None:
    random = np.random.default_rng(0)
    assert [len(draws(size, None, random)) for size in (100, 10_000, 20_000, 60_000)] == [1000, 1000, 500, 200]
