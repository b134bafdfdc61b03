"""How well frozen features fit targets, in float64: what is known of a backbone's transfer without fine-tuning it.

Shapes: N examples, D features, C classes or columns, Z classes of pretraining. Classes are numbers from 0; columns are
numbers, standardised, or 0 and 1 for labels. All scores are larger for better features.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

NEIGHBOURS = (1, 5, 10, 20)  # the grid of arXiv 2503.18528, where neighbours beat 22 other scores
FOLDS = 5
_PENALTIES = 10.0 ** np.arange(-3, 6)  # of ridge on standardised features, times the mean of the kernel's diagonal
_STEPS, _TOLERANCE = 100, 1e-6


def one_hot(classes: Array, count: int | None = None) -> Array:
    """Return classes (N,) as columns of 0 and 1, (N, C)."""
    return np.eye(int(classes.max()) + 1 if count is None else count)[classes]


def standardised(values: Array) -> Array:
    """Return columns of mean 0 and variance 1; those that never vary are left out."""
    values = np.asarray(values, np.float64)
    spread = values.std(0)
    varies = spread > 1e-12 * np.maximum(1.0, np.abs(values).max(0, initial=0.0))
    return np.asarray((values[:, varies] - values[:, varies].mean(0)) / spread[varies])


def compact(features: Array) -> Array:
    """Return features (N, D) in at most N coordinates that keep all distances and angles, (N, min(N, D))."""
    left, values, _ = np.linalg.svd(np.asarray(features, np.float64), full_matrices=False)
    return np.asarray(left * values)


def logme(features: Array, columns: Array, width: int | None = None) -> float:
    """Return the logarithm of the maximum evidence of a Bayesian linear model, per example, mean over columns (N, C).

    You et al., arXiv 2102.11005, by the fixed point of arXiv 2110.10545; classes go in as columns of 0 and 1. Columns
    that never vary, of which every model is certain, are left out; NaN if none is left.
    width: D, where the features are `compact`.
    """
    features = np.asarray(features, np.float64)
    width = features.shape[1] if width is None else width
    left, values, _ = np.linalg.svd(features, full_matrices=False)
    varying = columns[:, columns.std(0) > 0]
    if not varying.shape[1]:
        return float("nan")
    return float(np.mean([_evidence(left.T @ column, values**2, column, width) for column in varying.T]))


def _evidence(projected: Array, squares: Array, column: Array, width: int) -> float:
    """Return the evidence per example of one column at the best precisions: alpha of weights, beta of noise.

    projected: the column in the basis of the features' left singular vectors; squares: their squared singular values.
    """
    count, energy = len(column), projected**2
    outside = max(float(column @ column - energy.sum()), 0.0)
    alpha = beta = 1.0
    for _ in range(_STEPS):
        before = alpha / beta
        weights, residual = _solution(energy, squares, outside, before)
        effective = (squares / (squares + before)).sum()
        alpha, beta = effective / (weights + 1e-12), (count - effective) / (residual + 1e-12)
        if abs(alpha / beta - before) <= _TOLERANCE * before:
            break
    weights, residual = _solution(energy, squares, outside, alpha / beta)
    determinant = np.log(alpha + beta * squares).sum() + (width - len(squares)) * np.log(alpha)
    fit = beta * residual + alpha * weights + determinant + count * np.log(2 * np.pi)
    return float((width * np.log(alpha) + count * np.log(beta) - fit) / (2 * count))


def _solution(energy: Array, squares: Array, outside: float, ratio: float) -> tuple[float, float]:
    """Return the squared norms of the ridge solution and of its residual at the penalty alpha / beta."""
    shrunk = squares + ratio
    return float((squares * energy / shrunk**2).sum()), float((ratio**2 * energy / shrunk**2).sum() + outside)


def h_score(features: Array, classes: Array, width: int | None = None) -> float:
    """Return the regularised H-score: how much of the shrunk covariance lies between classes.

    Bao et al. 2019 (ICIP, doi 10.1109/ICIP.2019.8803726), with the covariance of Ledoit and Wolf as in Ibrahim et al.,
    arXiv 2110.06893. width: D, where the features are `compact`.
    """
    centred = np.asarray(features, np.float64) - np.mean(features, 0, dtype=np.float64)
    count, width = len(centred), centred.shape[1] if width is None else width
    shrinkage = ledoit_wolf(centred, width)
    _, values, right = np.linalg.svd(centred, full_matrices=False)
    variances = values**2 / count
    hot = one_hot(classes)
    hot = hot[:, hot.any(0)]
    means = (hot.T @ centred) / hot.sum(0)[:, None] @ right.T  # (C, min(N, D)); they lie in the span of the features
    between = (hot.sum(0)[:, None] * means**2).sum(0) / count
    kept = (1 - shrinkage) * variances + shrinkage * variances.sum() / width
    seen = kept > 0
    return float((1 - shrinkage) * (between[seen] / kept[seen]).sum())


def ledoit_wolf(centred: Array, width: int) -> float:
    """Return how far the covariance of centred features (N, D) is shrunk to a multiple of the identity, 0 to 1.

    Ledoit and Wolf 2004, doi 10.1016/S0047-259X(03)00096-4.
    """
    count = len(centred)
    squared = np.linalg.norm(centred @ centred.T if count < centred.shape[1] else centred.T @ centred) ** 2 / count**2
    trace = (centred**2).sum() / count
    distance = squared - trace**2 / width
    noise = (((centred**2).sum(1) ** 2).sum() / count - squared) / count
    return float(np.clip(noise / distance, 0.0, 1.0)) if distance > 0 else 1.0


def neighbours(features: Array, columns: Array, groups: Sequence[Any] | None = None) -> Array:
    """Return what the nearest others say of each example, (N, C), at the number of them that says it best.

    Cosine similarity; leave one out: an example, and with `groups` all of its group, is no neighbour of its own.
    """
    unit = np.asarray(features, np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    similarity[_same(groups, len(unit))] = -np.inf
    order = np.argsort(-similarity, axis=1, kind="stable")
    others = np.isfinite(np.take_along_axis(similarity, order, 1))
    answers = []
    for number in NEIGHBOURS:
        if number > 1 and number >= len(unit):
            break
        counted = others[:, :number, None]
        total = np.maximum(counted.sum(1), 1)
        answers.append((columns[order[:, :number]] * counted).sum(1) / total)
    return min(answers, key=lambda answer: float(((answer - columns) ** 2).mean()))


def probe(features: Array, columns: Array, folds: Array) -> Array:
    """Return what a linear model that has not seen an example's fold says of it, (N, C).

    Ridge regression on standardised features and centred columns, as the few-shot evaluation of big_vision does; the
    penalty is the one with the smallest squared error over all folds.
    """
    values = standardised(features)
    kernel = values @ values.T
    answers = np.zeros((len(_PENALTIES), *columns.shape))
    for fold in np.unique(folds):
        held, rest = folds == fold, folds != fold
        mean = columns[rest].mean(0)
        roots, vectors = np.linalg.eigh(kernel[np.ix_(rest, rest)])
        roots = np.maximum(roots, 0.0)
        projected, seen = vectors.T @ (columns[rest] - mean), kernel[np.ix_(held, rest)] @ vectors
        for number, penalty in enumerate(_PENALTIES * np.trace(kernel) / len(kernel)):
            answers[number, held] = seen @ (projected / (roots + penalty)[:, None]) + mean
    errors = ((answers - columns) ** 2).mean((1, 2))
    best: Array = answers[int(errors.argmin())]
    return best


def make_folds(strata: Array, groups: Sequence[Any] | None, seed: int = 0) -> Array:
    """Return the fold of each example, (N,): at most FOLDS, classes spread over them, groups never cut."""
    random = np.random.default_rng(seed)
    names = np.unique([str(group) for group in groups], return_inverse=True)[1] if groups is not None else None
    units = np.arange(len(strata)) if names is None else names
    first = np.unique(units, return_index=True)[1]
    order = random.permutation(len(first))
    order = order[np.argsort(strata[first[order]], kind="stable")]
    folds = np.empty(len(first), np.int64)
    folds[order] = np.arange(len(first)) % min(FOLDS, len(first))
    spread: Array = folds[units]
    return spread


def leep(source: Array, classes: Array) -> float:
    """Return the log expected empirical prediction from the probabilities (N, Z) of the source's classes.

    Nguyen et al., arXiv 2002.12462.
    """
    source = np.asarray(source, np.float64)
    joint = one_hot(classes).T @ source  # (C, Z), times N
    conditional = joint / np.maximum(joint.sum(0), 1e-300)
    predicted = (conditional[classes] * source).sum(1)
    return float(np.log(np.maximum(predicted, 1e-300)).mean())


def nce(source: Array, classes: Array) -> float:
    """Return the negative entropy of the classes, given the source's most probable class of (N, Z).

    Tran et al., arXiv 1908.08142.
    """
    counts = one_hot(classes).T @ one_hot(np.argmax(source, 1), source.shape[1])  # (C, Z)
    share = counts / len(classes)
    conditional = counts / np.maximum(counts.sum(0), 1)
    seen = share > 0
    return float((share[seen] * np.log(conditional[seen])).sum())


def hits(answers: Array, columns: Array, classes: Array | None) -> Array:
    """Return how good each answer is, (N,): whether the class is right, or one minus the squared error over variance.

    Their mean is the accuracy, or the share of variance explained (R2, mean over columns).
    """
    if classes is not None:
        return np.asarray(answers.argmax(1) == classes, np.float64)
    variance = columns.var(0)
    varies = variance > 0
    return np.asarray(1.0 - (((answers - columns) ** 2)[:, varies] / variance[varies]).mean(1))


def _same(groups: Sequence[Any] | None, count: int) -> Array:
    if groups is None:
        return np.eye(count, dtype=bool)
    names = np.unique([str(group) for group in groups], return_inverse=True)[1]
    return np.asarray(names[:, None] == names[None])
