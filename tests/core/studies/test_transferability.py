"""Each score against its definition: by hand, by brute force, or by scikit-learn."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf, ledoit_wolf_shrinkage
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier

from inarch.studies import transferability as t


def example(count=60, width=7, classes=3, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return random.normal(size=(count, width)) + 1.5 * random.normal(size=(classes, width))[labels], labels


def log_evidence(features, column, alpha, beta):
    """The density of a column under the model with its weights integrated out, as the paper's equation 1 says it."""
    covariance = np.eye(len(column)) / beta + features @ features.T / alpha
    return multivariate_normal(np.zeros(len(column)), covariance).logpdf(column)


@pytest.mark.parametrize("width", [7, 90])
def test_logme_is_the_largest_log_evidence_of_the_linear_model(width):
    features, labels = example(width=width)
    columns = t.one_hot(labels)

    def best(column):
        def lost(logs):
            return -log_evidence(features, column, *np.exp(logs))

        return -minimize(lost, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8}).fun

    expected = np.mean([best(column) for column in columns.T]) / len(labels)
    assert t.logme(features, columns) == pytest.approx(expected, abs=1e-5)
    assert t.logme(t.compact(features), columns, width) == pytest.approx(t.logme(features, columns), abs=1e-9)


def test_logme_of_numbers_is_larger_for_features_that_explain_them():
    features, _ = example()
    numbers = t.standardised(features @ np.arange(7.0)[:, None])
    noise = np.random.default_rng(1).normal(size=features.shape)
    assert t.logme(features, numbers) > t.logme(noise, numbers) + 0.5


@pytest.mark.parametrize(("count", "width"), [(60, 7), (30, 90)])
def test_the_shrinkage_is_that_of_scikit_learn(count, width):
    features, _ = example(count, width)
    centred = features - features.mean(0)
    expected = ledoit_wolf_shrinkage(features)
    assert 0 < expected < 1
    assert t.ledoit_wolf(centred, width) == pytest.approx(expected, rel=1e-10)
    assert t.ledoit_wolf(t.compact(centred), width) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("count", "width"), [(60, 7), (30, 90)])
def test_the_h_score_is_the_trace_of_its_definition(count, width):
    features, labels = example(count, width)
    fitted = LedoitWolf().fit(features)
    means = np.stack([features[labels == label].mean(0) for label in labels]) - features.mean(0)
    between = (1 - fitted.shrinkage_) * means.T @ means / count
    expected = np.trace(np.linalg.inv(fitted.covariance_) @ between)
    assert t.h_score(features, labels) == pytest.approx(expected, rel=1e-8)
    assert t.h_score(t.compact(features), labels, width) == pytest.approx(expected, rel=1e-6)


def test_neighbours_leave_the_example_out_as_counting_by_hand_does():
    features, labels = example()
    columns = t.one_hot(labels)
    errors, found = [], []
    for number in t.NEIGHBOURS:
        answers = []
        for index in range(len(labels)):
            rest = np.arange(len(labels)) != index
            model = KNeighborsClassifier(number, metric="cosine").fit(features[rest], labels[rest])
            answers.append(model.predict_proba(features[index : index + 1])[0])
        found.append(np.stack(answers))
        errors.append(((found[-1] - columns) ** 2).mean())
    assert t.neighbours(features, columns) == pytest.approx(found[int(np.argmin(errors))])


def test_no_example_of_a_group_is_a_neighbour_of_another_one_of_it():
    features = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.01, 1.0]])
    columns = t.one_hot(np.array([0, 0, 1, 1]))
    assert t.hits(t.neighbours(features, columns), columns, np.array([0, 0, 1, 1])).mean() == 1
    apart = t.neighbours(features, columns, groups=["a", "a", "b", "b"])
    assert t.hits(apart, columns, np.array([0, 0, 1, 1])).mean() == 0


def test_the_probe_says_of_a_fold_what_ridge_regression_on_the_others_says():
    features, labels = example()
    columns, folds = t.one_hot(labels), t.make_folds(labels, None)
    values = t.standardised(features)
    scale = np.trace(values @ values.T) / len(values)
    tried = []
    for penalty in t._PENALTIES * scale:
        answers = np.empty_like(columns)
        for fold in range(t.FOLDS):
            rest = folds != fold
            mean = columns[rest].mean(0)
            model = Ridge(alpha=penalty, fit_intercept=False).fit(values[rest], columns[rest] - mean)
            answers[~rest] = model.predict(values[~rest]) + mean
        tried.append(answers)
    best = min(tried, key=lambda answers: ((answers - columns) ** 2).mean())
    assert t.probe(features, columns, folds) == pytest.approx(best, abs=1e-8)


def test_leep_and_nce_are_what_the_papers_formulas_give_by_hand():
    source = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    classes = np.array([0, 0, 1])
    # P(y=0|z) = 1.4/1.5, 0.6/1.5; P(y=1|z) = 0.1/1.5, 0.9/1.5
    expected = np.log([(0.8 * 1.4 + 0.2 * 0.6) / 1.5, (0.6 * 1.4 + 0.4 * 0.6) / 1.5, (0.1 * 0.1 + 0.9 * 0.9) / 1.5])
    assert t.leep(source, classes) == pytest.approx(expected.mean())
    assert t.nce(source, classes) == pytest.approx(0.0)  # the source's class says the target's
    mixed = np.array([0, 1, 1])  # of two with source class 0 one is 0, one is 1
    assert t.nce(source, mixed) == pytest.approx(2 / 3 * np.log(0.5))


def test_a_source_that_knows_nothing_gives_the_entropy_of_the_classes():
    classes = np.array([0, 0, 0, 1])
    entropy = 0.75 * np.log(0.75) + 0.25 * np.log(0.25)
    flat = np.full((4, 5), 0.2)
    assert t.leep(flat, classes) == pytest.approx(entropy) and t.nce(flat, classes) == pytest.approx(entropy)


def test_folds_spread_classes_and_never_cut_a_group():
    labels = np.repeat([0, 1, 2], 20)
    folds = t.make_folds(labels, None)
    assert all((np.bincount(labels[folds == fold]) == 4).all() for fold in range(t.FOLDS))
    groups = [index // 3 for index in range(60)]
    grouped = t.make_folds(labels, groups)
    assert len(set(grouped)) == t.FOLDS
    assert all(len({grouped[index] for index in range(60) if groups[index] == group}) == 1 for group in range(20))


def test_fewer_examples_than_folds_make_fewer_folds():
    assert sorted(t.make_folds(np.array([0, 1, 0]), None)) == [0, 1, 2]


def test_features_that_never_vary_are_left_out():
    features, labels = example()
    wider = np.hstack([features, np.full((60, 2), 3.3)])
    columns, folds = t.one_hot(labels), t.make_folds(labels, None)
    assert t.standardised(wider).shape == (60, 7)
    assert t.probe(wider, columns, folds) == pytest.approx(t.probe(features, columns, folds))


def test_the_goodness_of_numbers_is_the_share_of_variance_explained():
    columns = np.array([[1.0], [2.0], [3.0], [6.0]])
    answers = columns + np.array([[0.5], [-0.5], [0.0], [1.0]])
    assert t.hits(answers, columns, None).mean() == pytest.approx(1 - 1.5 / 14)


def test_a_class_that_is_in_one_fold_alone_is_never_predicted_and_breaks_nothing():
    features, labels = example()
    labels = np.append(labels, 3)
    features = np.vstack([features, np.ones(7)])
    columns, folds = t.one_hot(labels), t.make_folds(labels, None)
    answers = t.probe(features, columns, folds)
    assert np.isfinite(answers).all() and (answers[-1].argmax(), labels[-1]) != (3, 3)
    assert np.isfinite([t.logme(features, columns), t.h_score(features, labels)]).all()


def test_one_class_alone_has_no_evidence_to_compare():
    features, labels = example()
    assert np.isnan(t.logme(features, t.one_hot(np.zeros_like(labels))))
