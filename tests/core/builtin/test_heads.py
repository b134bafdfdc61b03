"""Heads: losses as sums and counts, targets, mixing, predictions."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from inarch import Dataset, Features, Head, RecipeError, Rows, Targets, plugins
from inarch.builtin import targets as reading
from inarch.builtin.heads import classifier, multilabel, regressor
from inarch.errors import DataError
from inarch.intervals import compute

CLASSES = ["a"] * 6 + ["b"] * 3 + ["c"]
LABELS = ["x;y", "x", "", "y", "x;z"] * 2
NUMBERS = [float(n) for n in range(10)]
CASES: dict[str, tuple[Any, Any, list[Any]]] = {
    "classifier": (classifier, reading.read_classes, CLASSES),
    "multilabel": (multilabel, reading.read_labels, LABELS),
    "regressor": (regressor, reading.read_numbers, NUMBERS),
}


def targets_of(read: Any, column: list[Any]) -> Targets:
    return read(Dataset({"train": Rows({"x": column, "y": column})}, "x", "y", origin="here"))


def make(case: str, **options: Any) -> tuple[Head, torch.Tensor, torch.Tensor]:
    """Return a head over 5 features, and outputs and targets of ten examples."""
    build, read, column = CASES[case]
    torch.manual_seed(0)
    head: Head = build(targets_of(read, column), 5, **options)
    return head, head(Features(pooled=torch.randn(10, 5))), head.encode(column)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", [{}, {"hidden": 7, "dropout": 0.1}])
def test_the_loss_falls(case: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    build, read, column = CASES[case]
    head = build(targets_of(read, column), 12, **options)
    features, truth = Features(pooled=torch.randn(10, 12)), head.encode(column)  # ten points in 12 dimensions
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        total, count = head.loss(head(features), truth)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append((total / count).item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole(case: str, weights: str) -> None:
    head, outputs, truth = make(case, **({} if case == "regressor" else {"class_weights": weights}))
    parts = [head.loss(outputs[part], truth[part]) for part in (slice(0, 3), slice(3, 10))]
    whole = head.loss(outputs, truth)
    assert torch.allclose(parts[0][0] + parts[1][0], whole[0])
    assert torch.allclose(parts[0][1] + parts[1][1], whole[1])


def test_the_loss_of_the_classifier_is_torchs() -> None:
    head, outputs, truth = make("classifier", class_weights="balanced", label_smoothing=0.1)
    total, count = head.loss(outputs, truth)
    assert torch.allclose(total / count, F.cross_entropy(outputs, truth, head.weights, label_smoothing=0.1))


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    head, *_ = make("classifier", class_weights="balanced")
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=np.array(CLASSES))
    assert np.allclose(head.weights.numpy(), expected)


def test_balanced_weights_of_labels_are_negatives_over_positives() -> None:
    head, *_ = make("multilabel", class_weights="balanced")
    assert head.weights.tolist() == pytest.approx([4 / 6, 6 / 4, 8 / 2])


def test_class_weights_by_name_leave_the_others_at_one() -> None:
    head, *_ = make("classifier", class_weights={"b": 3.0})
    assert head.weights.tolist() == [1.0, 3.0, 1.0]


def test_a_weight_for_a_class_that_is_not_there_is_an_error() -> None:
    with pytest.raises(RecipeError, match="unknown class 'd'"):
        make("classifier", class_weights={"d": 3.0})


@pytest.mark.parametrize("case", CASES)
def test_mixing_with_a_whole_share_changes_nothing(case: str) -> None:
    head, outputs, truth = make(case)
    mixed = head.mix(truth, truth.flip(0), torch.ones(10))
    assert torch.allclose(head.loss(outputs, mixed)[0], head.loss(outputs, truth)[0])
    assert torch.allclose(head.loss(outputs, mixed)[1], head.loss(outputs, truth)[1])


def test_mixed_classes_are_shares_of_both() -> None:
    head, *_ = make("classifier")
    mixed = head.mix(torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([0.75, 0.4]))
    assert torch.allclose(mixed, torch.tensor([[0.75, 0.0, 0.25], [0.0, 1.0, 0.0]]))


def test_numbers_are_predicted_in_their_own_unit() -> None:
    head, *_ = make("regressor")
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias.fill_(1.0)
    outputs = head(Features(pooled=torch.zeros(1, 5)))
    assert head.predict(outputs) == [{"value": pytest.approx(np.mean(NUMBERS) + np.std(NUMBERS))}]


def test_predictions_are_named_and_scored() -> None:
    head, *_ = make("classifier")
    (found,) = head.predict(torch.tensor([[0.0, 2.0, 0.0]]))
    assert found["class"] == "b" and found["score"] == found["scores"]["b"]
    assert sum(found["scores"].values()) == pytest.approx(1)
    head, *_ = make("multilabel", threshold=0.6)
    (found,) = head.predict(torch.tensor([[2.0, 0.0, 3.0]]))
    assert found["labels"] == ["x", "z"]


@pytest.mark.parametrize("case", CASES)
def test_every_metric_of_a_heads_kind_takes_what_the_head_makes(case: str) -> None:
    head, outputs, truth = make(case)
    targets = targets_of(*CASES[case][1:])
    fitting = [e for e in plugins.loaded().components["metrics"].values() if targets.kind in e.facts["kinds"]]
    found = {entry.name: compute(entry.build(targets), head.scores(outputs), truth) for entry in fitting}
    assert len(found) >= 4 and np.isfinite(list(found.values())).all(), found


@pytest.mark.parametrize(("pooling", "expected"), [("mean", [2.0, 3.0]), ("max", [3.0, 4.0])])
def test_pooling_leaves_padding_out(pooling: str, expected: list[float]) -> None:
    from inarch.builtin.head_modules import pool

    tokens = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [99.0, 99.0]]])
    mask = torch.tensor([[True, True, False]])
    assert pool(Features(tokens=tokens, mask=mask), pooling).tolist() == [expected]
    assert classifier(targets_of(reading.read_classes, CLASSES), 2, pooling=pooling).needs == {"tokens"}


@pytest.mark.parametrize(
    ("read", "column", "message"),
    [
        (reading.read_classes, [["a"], ["b"]], "the head 'multilabel'"),
        (reading.read_classes, [n / 3 for n in range(60)], "the head 'regressor'"),
        (reading.read_numbers, ["a", "b"], "the head 'classifier'"),
        (reading.read_numbers, [3.0, 3.0], "nothing to learn"),
        (reading.read_labels, ["", ""], "no example of train has any label"),
        (reading.read_labels, ["a", None], "is missing"),
        (reading.read_classes, ["a", float("nan"), "b"], "row 1: the target 'y' is missing"),
    ],
)
def test_targets_that_do_not_fit_the_head_are_told_with_the_one_that_does(
    read: Any, column: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        targets_of(read, column)


def test_classes_that_are_numbers_are_sorted_as_numbers() -> None:
    assert targets_of(reading.read_classes, ["10", "9", "2"] * 2).classes == ("2", "9", "10")


def test_each_label_counts_once_in_an_example() -> None:
    found = targets_of(reading.read_labels, ["a; a;b", ["b", 3], "b"])
    assert dict(zip(found.classes, found.counts["train"], strict=True)) == {"3": 1, "a": 1, "b": 3}
