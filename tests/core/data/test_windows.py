"""Long inputs through windows: which stretch each answers for, and how batches hold them."""

import numpy as np
import pytest
from inarch_toy.spelling import Letters

from inarch import Window
from inarch.data.inputs import Inputs, kept_by

TEXTS = ["abc", "abcdefghij", "", "abcdef"]


def inputs(window: int | None = 6, prepared: bool = False) -> Inputs:
    return Inputs(TEXTS, Letters("none", 4, prepared, None, window=window), separate=False)


def test_a_long_input_makes_an_example_for_each_window_and_a_short_one_makes_one() -> None:
    read = inputs()
    assert [len(read[index].members) for index in (0, 1, 3)] == [1, 3, 1]
    assert read[0].kept is None and read[1].kept.shape == (3, 2)
    assert [len(member["letters"]) for member in read[1].members] == [6, 6, 6]


def test_the_number_of_windows_is_known_beforehand_and_one_where_an_input_cannot_be_read() -> None:
    assert inputs().counts.tolist() == [1, 3, 1, 1]
    assert inputs(prepared=True).counts is None


def test_lengths_come_from_what_the_backbone_measures_without_making_examples() -> None:
    read = inputs()
    assert read.lengths.tolist() == [3, 6, 0, 6]
    assert list(read.unreadable()) == [(2, "expected text, found ''")]
    assert inputs(window=None).lengths is None


def test_neighbours_part_in_the_middle_of_their_overlap_and_the_ends_belong_to_the_outer_ones() -> None:
    kept = kept_by([Window("", 0, 4), Window("", 3, 7), Window("", 5, 9)])
    assert np.array_equal(kept, [[-np.inf, 3.5], [3.5, 6], [6, np.inf]])


@pytest.mark.parametrize("length", range(7, 30))
def test_every_place_belongs_to_exactly_one_window_that_holds_it(length: int) -> None:
    windows = Letters("none", 4, False, None, window=6).windows("a" * length)
    kept = kept_by(windows)
    for place in np.arange(length) + 0.5:
        owners = [w for w, (start, end) in zip(windows, kept, strict=True) if start <= place < end]
        assert len(owners) == 1 and owners[0].start <= place < owners[0].end
