"""Folds: every example held out once, classes spread, groups whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inarch.training.folds import make_folds


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=40), st.integers(0, 5), st.booleans())
def test_every_class_is_learnt_in_every_fold_that_holds_it_out_and_no_group_is_cut(
    labels: list[int], seed: int, grouped: bool
) -> None:
    classes = np.array(labels)
    groups = (np.arange(len(labels)) // 2).tolist() if grouped else None
    folds = make_folds(classes, groups, len(labels), seed)
    for fold in range(folds.count):
        held, trained = classes[folds.of == fold], classes[folds.of != fold]
        assert len(held) and set(held) <= set(trained)
    if groups is not None:
        assert all(len({folds.of[i] for i in np.flatnonzero(np.array(groups) == group)}) == 1 for group in groups)
    assert folds.count in (0, 2, 3, 4, 5) and (folds.of <= folds.count).all()


def test_classes_are_spread_evenly() -> None:
    classes = np.array([0] * 50 + [1] * 10)
    folds = make_folds(classes, None, 60, 0)
    assert [np.bincount(classes[folds.of == fold]).tolist() for fold in range(5)] == [[10, 2]] * 5 and not folds.note


def test_a_class_of_one_example_is_always_trained_on() -> None:
    classes = np.array([0] * 10 + [1] * 10 + [2])
    folds = make_folds(classes, None, 21, 0)
    assert folds.count == 5 and folds.of[20] == 5
    assert folds.note == "1 examples of classes that stand in one example are in no fold"


@pytest.mark.parametrize(("rarest", "count"), [(2, 2), (3, 3), (7, 5)])
def test_the_rarest_class_limits_the_folds(rarest: int, count: int) -> None:
    assert make_folds(np.array([0] * 20 + [1] * rarest), None, 20 + rarest, 0).count == count


def test_groups_limit_the_folds() -> None:
    folds = make_folds(None, ["a"] * 10 + ["b"] * 5 + ["c"] * 5, 20, 0)
    assert folds.count == 3 and "3 folds" in folds.note
    assert make_folds(np.arange(20) % 2, ["a"] * 20, 20, 0).count == 0


def test_numbers_are_dealt_at_random_and_evenly() -> None:
    one, other = (make_folds(None, None, 23, seed).of for seed in (0, 1))
    assert sorted(np.bincount(one).tolist()) == [4, 4, 5, 5, 5] and (one != other).any()
