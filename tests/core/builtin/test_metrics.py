"""Every metric against an independent answer, on one batch and on several."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as known
from trials import PEOPLE, VOICES, equal_error, least_cost

from inarch.interfaces.dataset import Targets
from inarch.plugins import loaded

random = np.random.default_rng(0)
SCORES = random.dirichlet(np.ones(4), 200).astype(np.float32)
TRUTH = random.integers(0, 4, 200)
GUESS = SCORES.argmax(1)
LABELS = (random.random((200, 4)) < 0.3).astype(int)
CHANCES = random.random((200, 4)).astype(np.float32)
VALUES = random.normal(size=200).astype(np.float32)
NUMBERS = (VALUES + random.normal(size=200)).astype(np.float32)


def calibration(bins: int = 15) -> float:
    """Compute the expected calibration error by its definition."""
    confidence, right = SCORES.max(1), GUESS == TRUTH
    place = np.ceil(confidence * bins)
    return sum(abs(confidence[place == b].sum() - right[place == b].sum()) for b in range(bins + 1)) / len(TRUTH)


EXPECTED: dict[tuple[str, str], Callable[[], float]] = {
    ("accuracy", "classes"): lambda: known.accuracy_score(TRUTH, GUESS),
    ("balanced_accuracy", "classes"): lambda: known.balanced_accuracy_score(TRUTH, GUESS),
    ("f1", "classes"): lambda: known.f1_score(TRUTH, GUESS, average="macro"),
    ("auroc", "classes"): lambda: known.roc_auc_score(TRUTH, SCORES, multi_class="ovr"),
    ("average_precision", "classes"): lambda: known.average_precision_score(np.eye(4)[TRUTH], SCORES),
    ("mcc", "classes"): lambda: known.matthews_corrcoef(TRUTH, GUESS),
    ("calibration_error", "classes"): calibration,
    ("accuracy", "labels"): lambda: ((CHANCES > 0.5) == LABELS).mean(),
    ("f1", "labels"): lambda: known.f1_score(LABELS, CHANCES > 0.5, average="macro"),
    ("auroc", "labels"): lambda: known.roc_auc_score(LABELS, CHANCES),
    ("average_precision", "labels"): lambda: known.average_precision_score(LABELS, CHANCES),
    ("mae", "numbers"): lambda: known.mean_absolute_error(NUMBERS, VALUES),
    ("rmse", "numbers"): lambda: known.root_mean_squared_error(NUMBERS, VALUES),
    ("r2", "numbers"): lambda: known.r2_score(NUMBERS, VALUES),
    ("pearson", "numbers"): lambda: stats.pearsonr(NUMBERS, VALUES).statistic,
    ("spearman", "numbers"): lambda: stats.spearmanr(NUMBERS, VALUES).statistic,
    ("equal_error_rate", "identities"): equal_error,
    ("min_dcf", "identities"): least_cost,
}
DATA = {
    "classes": (SCORES, TRUTH),
    "labels": (CHANCES, LABELS),
    "numbers": (VALUES, NUMBERS),
    "identities": (VOICES, PEOPLE),
}


def compute(name: str, kind: str, batches: int, scores: Any, truth: Any) -> float:
    metric = loaded().components["metrics"][name].build(Targets(kind, () if kind == "numbers" else tuple("abcd")))
    for part in zip(torch.tensor(scores).chunk(batches), torch.tensor(truth).chunk(batches), strict=True):
        metric.update(*part)
    return float(metric.compute())


def test_every_metric_has_an_independent_answer_for_every_kind_that_it_measures() -> None:
    core = [entry for entry in loaded().components["metrics"].values() if entry.plugin == "core"]
    assert {(entry.name, kind) for entry in core for kind in entry.facts["kinds"]} == set(EXPECTED)


@pytest.mark.parametrize(("name", "kind"), EXPECTED)
def test_a_metric_is_the_independent_answer_on_one_batch_and_on_several(name: str, kind: str) -> None:
    expected = EXPECTED[name, kind]()
    assert compute(name, kind, 1, *DATA[kind]) == pytest.approx(expected, abs=1e-5)
    assert compute(name, kind, 3, *DATA[kind]) == pytest.approx(expected, abs=1e-5)


def test_balanced_accuracy_leaves_out_a_class_that_has_no_example() -> None:
    scores, truth = np.eye(4, dtype=np.float32)[[0, 1, 3]], np.array([0, 1, 0])  # class 3 is only predicted
    assert compute("balanced_accuracy", "classes", 1, scores, truth) == pytest.approx(0.75)
