"""The head: the order of classes, probabilities that sum to one, a loss that falls towards the truth."""

import pytest
import torch
from inarch import DataError, Dataset, Features, Rows

from {{cookiecutter.package}}.builders import ordinal
from {{cookiecutter.package}}.targets import read_ordered

SIZES = ["small", "medium", "large"]


def sizes(*values: str) -> Dataset:
    rows = Rows({"input": list(values), "size": list(values)})
    return Dataset({"train": rows}, "input", "size", classes={name: [name] for name in SIZES})


def test_classes_have_the_order_of_the_data_set() -> None:
    targets = read_ordered(sizes("large", "small", "medium", "small"))
    assert targets.classes == ("small", "medium", "large") and targets.counts == {"train": [2, 1, 1]}


def test_an_unknown_class_is_an_error_that_says_where_it_is() -> None:
    with pytest.raises(DataError, match=r"row 1: unknown class 'larg'. Did you mean 'large'\?"):
        read_ordered(sizes("small", "larg"))


def test_probabilities_are_of_all_classes_and_sum_to_one() -> None:
    head = ordinal(read_ordered(sizes(*SIZES)), 4)
    scores = head.scores(head(Features(pooled=torch.randn(5, 4))))
    assert scores.shape == (5, 3) and (scores >= 0).all()
    torch.testing.assert_close(scores.sum(1), torch.ones(5))


def test_the_loss_is_least_at_the_truth_and_counts_examples() -> None:
    head = ordinal(read_ordered(sizes(*SIZES)), 1)
    outputs = torch.tensor([[-4.0, -5.0], [4.0, -4.0], [5.0, 4.0]])  # small, medium, large
    right, count = head.loss(outputs, head.encode(SIZES))
    wrong, _ = head.loss(outputs, head.encode(SIZES[::-1]))
    assert count == 3 and right < wrong
    assert [answer["class"] for answer in head.predict(outputs)] == SIZES
