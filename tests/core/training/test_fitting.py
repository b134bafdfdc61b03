"""Heads fitted to stored features, beside scikit-learn's answers and some worked by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, Ridge
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import inarch
from inarch.builtin.head_modules import Classifier, Multilabel, Regressor
from inarch.interfaces.dataset import Targets
from inarch.training.fitting import DEFAULT_PENALTY, PENALTIES, fit_head
from inarch.training.folds import make_folds
from inarch.training.minimum import identity, minimise


def clouds(count: int, size: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of unequal means and sizes, and classes that can partly be told by them."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = random.normal(size=(classes, size))
    values = 0.7 * centres[labels] + random.normal(size=(count, size))
    return (values * random.uniform(0.1, 30, size) + random.normal(size=size) * 50).astype(np.float32), labels


def targets_of(labels: np.ndarray) -> Targets:
    names = [str(number) for number in range(labels.max() + 1)]
    return Targets("classes", tuple(names), {"train": np.bincount(labels).tolist()},
                   {"values": {name: number for number, name in enumerate(names)}})  # fmt: skip


def classifier(labels: np.ndarray, size: int, smoothing: float = 0.0, weights: Any = "none",
               hidden: int | None = None, dropout: float = 0.0, pooling: str = "pooled") -> Classifier:  # fmt: skip
    torch.manual_seed(0)
    return Classifier(targets_of(labels), size, smoothing, weights, hidden, dropout, pooling)


def answers(head: inarch.Head, values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return head.eval()(inarch.Features(pooled=torch.from_numpy(values))).numpy()


@pytest.mark.parametrize(("count", "size"), [(120, 5), (40, 90)], ids=["more examples", "more features"])
@pytest.mark.parametrize("penalty", [1.0, 1e-3])
def test_the_answer_is_that_of_scikit_learn(count: int, size: int, penalty: float) -> None:
    values, labels = clouds(count, size)
    head = classifier(labels, size)
    facts = fit_head(head, [values], torch.from_numpy(labels), penalties=[penalty]).facts
    scaler = StandardScaler().fit(values.astype(np.float64))
    known = LogisticRegression(C=1 / (penalty * count), tol=1e-10, max_iter=10000)
    known.fit(scaler.transform(values), labels)
    probabilities = torch.from_numpy(answers(head, values)).softmax(-1).numpy()
    assert probabilities == pytest.approx(known.predict_proba(scaler.transform(values)), abs=2e-4)
    assert facts["standardised"] and not facts["notes"]


def test_the_penalty_is_the_one_that_scikit_learns_cross_validation_chooses_on_the_same_folds() -> None:
    values, labels = clouds(150, 12)
    facts = fit_head(classifier(labels, 12), [values], torch.from_numpy(labels)).facts
    folds = make_folds(labels, None, 150, 0)
    scaled = StandardScaler().fit_transform(values.astype(np.float64))
    pairs = [(np.flatnonzero(folds.of != fold), np.flatnonzero(folds.of == fold)) for fold in range(5)]
    known = LogisticRegressionCV(Cs=[1 / (penalty * 120) for penalty in PENALTIES], cv=pairs, tol=1e-8, max_iter=5000,
                                 scoring="neg_log_loss", use_legacy_attributes=False, l1_ratios=(0,))  # fmt: skip
    known.fit(scaled, labels)
    assert facts["penalty"] == pytest.approx(1 / (120 * known.C_))
    losses = -known.scores_.mean((0, 1))[: len(facts["cross_validation"])]
    assert [loss for _, loss in facts["cross_validation"]] == pytest.approx(losses, rel=1e-2)


def test_numbers_are_those_of_ridge_regression() -> None:
    values, _ = clouds(80, 6)
    numbers = values @ np.linspace(-1, 1, 6).astype(np.float32) + np.random.default_rng(1).normal(size=80)
    targets = Targets("numbers", (), {"train": [80]}, {"mean": numbers.mean(), "deviation": numbers.std()})
    head = Regressor(targets, 6, "mse", None, 0.0, "pooled")
    fit_head(head, [values], head.encode(numbers.tolist()), penalties=[0.2])
    scaler = StandardScaler().fit(values.astype(np.float64))
    known = Ridge(alpha=0.1 * 80).fit(scaler.transform(values), numbers)  # the sum of squares, without the half
    with torch.no_grad():
        found = head.scores(head(inarch.Features(pooled=torch.from_numpy(values)))).numpy()
    assert found == pytest.approx(known.predict(scaler.transform(values)), abs=2e-4 * numbers.std())


def test_one_number_is_worked_by_hand() -> None:
    values = np.array([[1.0], [3.0]], np.float32)  # standardised: -1 and 1; the mean of (w + 1)^2 and (w - 1)^2 ...
    head = Regressor(Targets("numbers", (), {"train": [2]}, {"mean": 5, "deviation": 2}), 1, "mse", None, 0.0, "pooled")
    fit_head(head, [values], torch.tensor([3.0, 7.0]), penalties=[0.5])
    assert answers(head, values)[:, 0] == pytest.approx([-0.8, 0.8], abs=1e-5)  # ... plus w^2 / 4 is least at 4/5


def test_several_labels_are_several_regressions() -> None:
    values, labels = clouds(90, 5)
    several = np.stack([labels == 0, labels != 1], 1).astype(np.float32)
    targets = Targets(
        "labels", ("a", "b"), {"train": several.sum(0).astype(int).tolist()}, {"values": {"a": 0, "b": 1}}
    )
    head = Multilabel(targets, 5, 0.0, "none", 0.5, None, 0.0, "pooled")
    fit_head(head, [values], torch.from_numpy(several), penalties=[0.01])
    scaler = StandardScaler().fit(values.astype(np.float64))
    for column in (0, 1):
        known = LogisticRegression(C=1 / (0.02 * 90), tol=1e-10, max_iter=5000)  # the loss is a mean over two labels
        known.fit(scaler.transform(values), several[:, column])
        found = torch.from_numpy(answers(head, values))[:, column].sigmoid().numpy()
        assert found == pytest.approx(known.predict_proba(scaler.transform(values))[:, 1], abs=2e-4)


def test_class_weights_and_smoothing_of_the_loss_count() -> None:
    values, labels = clouds(90, 5)
    head = classifier(labels, 5, weights={"1": 4.0})
    fit_head(head, [values], torch.from_numpy(labels), penalties=[0.01])
    scaler = StandardScaler().fit(values.astype(np.float64))
    weights = np.where(labels == 1, 4.0, 1.0)
    known = LogisticRegression(C=1 / (0.01 * weights.sum()), tol=1e-10, max_iter=5000)
    known.fit(scaler.transform(values), labels, weights)
    found = torch.from_numpy(answers(head, values)).softmax(-1).numpy()
    assert found == pytest.approx(known.predict_proba(scaler.transform(values)), abs=2e-4)
    smooth = classifier(labels, 5, smoothing=0.3)
    fit_head(smooth, [values], torch.from_numpy(labels), penalties=[0.01])
    assert np.abs(answers(smooth, values)).max() < 0.8 * np.abs(answers(head, values)).max()


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4), st.lists(st.floats(-20, 20), min_size=4, max_size=4))
def test_the_units_of_the_features_do_not_matter(units: list[float], shifts: list[float]) -> None:
    values, labels = clouds(60, 4)
    values = (values - values.mean(0)) / values.std(0)
    other = ((values + np.array(shifts)) * np.array(units)).astype(np.float32)
    heads = []
    for each in (values, other):
        heads.append((classifier(labels, 4), each))
        fit_head(heads[-1][0], [each], torch.from_numpy(labels), penalties=[0.01])
    first, second = (answers(*pair) for pair in heads)
    assert first == pytest.approx(second, abs=5e-3)


def test_a_feature_that_never_varies_is_harmless() -> None:
    values, labels = clouds(60, 4)
    values = np.concatenate([values, np.full((60, 1), 0.1, np.float32)], 1)
    head = classifier(labels, 5)
    fit_head(head, [values], torch.from_numpy(labels))
    assert np.isfinite(answers(head, values)).all() and head.linear.weight[:, 4].abs().max() < 1e-6


def test_the_same_fit_has_the_same_bits() -> None:
    values, labels = clouds(100, 10)
    heads = [classifier(labels, 10) for _ in range(2)]
    for head in heads:
        fit_head(head, [values], torch.from_numpy(labels))
    assert torch.equal(heads[0].linear.weight, heads[1].linear.weight)


def test_dropout_does_not_disturb_the_fit() -> None:
    values, labels = clouds(60, 4)
    plain, dropping = classifier(labels, 4), classifier(labels, 4, dropout=0.9)
    for head in (plain, dropping):
        fit_head(head.train(), [values], torch.from_numpy(labels))
        assert head.training
    assert answers(plain, values) == pytest.approx(answers(dropping, values), abs=1e-6)


def test_a_head_with_a_hidden_layer_is_fitted_too() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(100, 2)).astype(np.float32)
    labels = (values[:, 0] * values[:, 1] > 0).astype(int)  # no line parts them
    head = classifier(labels, 2, hidden=16)
    facts = fit_head(head, [values], torch.from_numpy(labels), penalties=[0.1, 1e-3]).facts
    assert facts["standardised"] and facts["penalty"] == 1e-3
    assert (answers(head, values).argmax(1) == labels).mean() > 0.95


class Far(inarch.Head):
    """A head that reads its features twice, so that nothing can be folded."""

    needs = frozenset({"pooled"})

    def __init__(self, size: int) -> None:
        super().__init__()
        self.near = nn.Linear(size, 1)

    def encode(self, targets: Any) -> Tensor:
        return torch.tensor(targets)

    def forward(self, features: inarch.Features) -> Tensor:
        assert features.pooled is not None
        outputs: Tensor = self.near(features.pooled)[:, 0] + features.pooled[:, 0]
        return outputs

    def loss(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return F.mse_loss(outputs, targets, reduction="sum"), outputs.new_tensor(len(outputs))

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        return [{"value": value} for value in outputs.tolist()]


def test_features_that_cannot_be_standardised_are_taken_as_they_are_and_it_is_said() -> None:
    values = np.random.default_rng(0).normal(2, 3, size=(50, 3)).astype(np.float32)
    head = Far(3)
    facts = fit_head(head, [values], torch.from_numpy(values @ [1.0, -1, 0.5]).float(), penalties=[1e-9]).facts
    assert head.near.weight[0].tolist() == pytest.approx([0, -1, 0.5], abs=1e-3)
    assert not facts["standardised"] and "not standardised" in facts["notes"][0]


class Own(Far):
    """A head with a fit of its own."""

    def fit(self, features: Tensor, targets: Tensor) -> Mapping[str, Any]:
        self.near.weight.data.zero_()
        self.near.bias.data.fill_(float((targets - features[:, 0]).mean()))
        return {"method": "mean"}


def test_a_head_may_bring_a_fit_of_its_own() -> None:
    values = np.zeros((4, 3), np.float32)
    found = fit_head(Own(3), [values, values + 1], torch.tensor([1.0, 2, 3, 6]))
    assert found.facts == {"examples": 4, "views": 1, "dimensions": 3, "method": "mean"}
    assert found.loss / found.count == pytest.approx(3.5)


def test_other_views_are_trained_on() -> None:
    values, labels = clouds(60, 4)
    noise = np.random.default_rng(5).normal(size=values.shape).astype(np.float32) * values.std(0)
    one, two = classifier(labels, 4), classifier(labels, 4)
    alone = fit_head(one, [values], torch.from_numpy(labels), penalties=[0.01])
    both = fit_head(two, [values, values + noise], torch.from_numpy(labels), penalties=[0.01])
    assert (alone.count, both.count) == (60, 120) and both.facts["views"] == 2
    assert np.abs(answers(two, values)).max() < np.abs(answers(one, values)).max()  # blurred views blur the answer


def test_features_that_are_not_finite_are_named() -> None:
    values, labels = clouds(60, 4)
    values[[3, 7]] = np.nan
    with pytest.raises(inarch.RunError, match=r"features of 2 of 60 examples of train are not finite: row 3, row 7"):
        fit_head(classifier(labels, 4), [values], torch.from_numpy(labels), where="row {}".format)


@pytest.mark.parametrize("labels", [[0, 1], [0], [0, 0, 0]], ids=["one of each", "one example", "one class"])
def test_few_examples_are_fitted_all_the_same(labels: list[int]) -> None:
    values = np.arange(len(labels), dtype=np.float32)[:, None] * [1.0, -2.0]
    head = classifier(np.array([0, 1]), 2)
    facts = fit_head(head, [values.astype(np.float32)], torch.tensor(labels)).facts
    assert (answers(head, values.astype(np.float32)).argmax(1) == labels).all()
    assert facts["penalty"] == DEFAULT_PENALTY or facts["folds"] == 3
    assert facts["notes"]


def test_a_minimum_of_a_narrow_valley_is_found() -> None:
    def valley(point: Tensor) -> tuple[float, Tensor]:  # Rosenbrock's, whose minimum is (1, 1)
        point = point.detach().requires_grad_()
        value = (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2
        [gradient] = torch.autograd.grad(value, point)
        return float(value.detach()), gradient

    found = minimise(valley, torch.tensor([-1.2, 1.0], dtype=torch.float64), identity, 1e-12)
    assert found.converged and found.point.tolist() == pytest.approx([1, 1], abs=1e-4)
