"""Builders of the core's metrics, all torchmetrics'. Scores are what `Head.scores` returns; see there for shapes."""

import warnings
from typing import TYPE_CHECKING, Annotated

from inarch.interfaces.dataset import Targets
from inarch.schema import Range

if TYPE_CHECKING:
    from torchmetrics import Metric

Chance = Annotated[float, Range(above=0, below=1)]
Cost = Annotated[float, Range(above=0)]


def accuracy(targets: Targets) -> "Metric":
    """Share of right answers; with labels, over all pairs of example and label."""
    from torchmetrics.classification import MulticlassAccuracy, MultilabelAccuracy

    size = len(targets.classes)
    if targets.kind == "labels":
        return MultilabelAccuracy(size, average="micro")
    return MulticlassAccuracy(size, average="micro")


def balanced_accuracy(targets: Targets) -> "Metric":
    """Mean over the classes present of the share of their examples that is found (as in scikit-learn)."""
    from inarch.builtin.metric_modules import BalancedAccuracy

    return BalancedAccuracy(len(targets.classes))


def f1(targets: Targets) -> "Metric":
    """Harmonic mean of precision and recall, macro: a mean over classes."""
    from torchmetrics.classification import MulticlassF1Score, MultilabelF1Score

    kind = MultilabelF1Score if targets.kind == "labels" else MulticlassF1Score
    return kind(len(targets.classes), average="macro")


def auroc(targets: Targets) -> "Metric":
    """Area under the receiver operating curve, one class against the rest, a mean over classes."""
    from torchmetrics.classification import MulticlassAUROC, MultilabelAUROC

    kind = MultilabelAUROC if targets.kind == "labels" else MulticlassAUROC
    return kind(len(targets.classes), average="macro")


def average_precision(targets: Targets) -> "Metric":
    """Area under precision against recall, one class against the rest, a mean over classes."""
    from torchmetrics.classification import MulticlassAveragePrecision, MultilabelAveragePrecision

    kind = MultilabelAveragePrecision if targets.kind == "labels" else MulticlassAveragePrecision
    return kind(len(targets.classes), average="macro")


def mcc(targets: Targets) -> "Metric":
    """Matthews correlation coefficient, -1 to 1."""
    from torchmetrics.classification import MulticlassMatthewsCorrCoef

    return MulticlassMatthewsCorrCoef(len(targets.classes))


def calibration_error(targets: Targets, *, bins: Annotated[int, Range(least=1)] = 15) -> "Metric":
    """Expected calibration error, 0 to 1: how far the score of the likeliest class is from its share of right answers.

    bins: number of equally wide bins of the score (15 in arXiv 1706.04599).
    """
    from torchmetrics.classification import MulticlassCalibrationError

    return MulticlassCalibrationError(len(targets.classes), n_bins=bins)


def mae(targets: Targets) -> "Metric":
    """Mean absolute error, in the target's unit."""
    from torchmetrics.regression import MeanAbsoluteError

    return MeanAbsoluteError()


def rmse(targets: Targets) -> "Metric":
    """Root of the mean squared error, in the target's unit."""
    from torchmetrics.regression import MeanSquaredError

    return MeanSquaredError(squared=False)


def r2(targets: Targets) -> "Metric":
    """Share of the targets' variance that is explained; 1 is perfect, 0 is the mean's."""
    from torchmetrics.regression import R2Score

    return R2Score()


def pearson(targets: Targets) -> "Metric":
    """Pearson's correlation of predicted and true values."""
    from torchmetrics.regression import PearsonCorrCoef

    return PearsonCorrCoef()


def spearman(targets: Targets) -> "Metric":
    """Spearman's rank correlation of predicted and true values."""
    from torchmetrics.regression import SpearmanCorrCoef

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keeping all predictions in memory: evaluation does so for every metric
        return SpearmanCorrCoef()


def equal_error_rate(targets: Targets) -> "Metric":
    """Rate at which false acceptances equal false rejections, over all pairs of a split, scored by their cosine."""
    from inarch.builtin.verification_metrics import EqualErrorRate

    return EqualErrorRate()


def min_dcf(targets: Targets, *, p_target: Chance = 0.05, c_miss: Cost = 1.0, c_false_alarm: Cost = 1.0) -> "Metric":
    """NIST's detection cost at the best threshold, over all pairs of a split; 1 is that of a system that never looks.

    p_target: chance that a pair is of one identity; 0.05 and equal costs are those of VoxSRC 2020 (arXiv 2012.06867).
    c_miss: cost of a false rejection.
    c_false_alarm: cost of a false acceptance.
    """
    from inarch.builtin.verification_metrics import MinimumDetectionCost

    return MinimumDetectionCost(p_target, c_miss, c_false_alarm)
