"""Raw inputs as examples, prepared at once or transformed one by one."""

import pytest
import torch
from inarch_toy.spelling import Letters

from inarch.data.inputs import Inputs

TEXTS = ["abc", "", "abcdefgh", "a"]


def letters(prepared: bool) -> Letters:
    return Letters("none", 4, prepared, 5)


@pytest.mark.parametrize("prepared", [True, False])
def test_an_input_that_cannot_be_read_is_an_error_only_when_it_is_asked_for(prepared: bool) -> None:
    inputs = Inputs(TEXTS, letters(prepared), separate=False)
    assert len(inputs) == 4 and len(inputs[0].members) == 1
    with pytest.raises(ValueError, match="expected text, found ''"):
        inputs[1]


def test_lengths_are_known_of_prepared_inputs_alone() -> None:
    assert Inputs(TEXTS, letters(True), separate=False).lengths.tolist() == [3, 0, 5, 1]
    assert Inputs(TEXTS, letters(False), separate=False).lengths is None


def test_prepared_examples_equal_transformed_ones() -> None:
    made, prepared = (Inputs(TEXTS, letters(way), separate=False) for way in (False, True))
    for index in (0, 2, 3):
        for name, tensor in made[index].members[0].items():
            assert torch.equal(tensor, prepared[index].members[0][name])


@pytest.mark.parametrize("prepared", [True, False])
def test_separate_parts_are_examples_of_their_own_and_the_longest_counts(prepared: bool) -> None:
    pairs = [{"one": "ab", "other": "abcd"}, {"one": "abcdef", "other": "a"}]
    inputs = Inputs(pairs, letters(prepared), separate=True)
    assert [[len(part["letters"]) for part in inputs[index].members] for index in range(2)] == [[2, 4], [5, 1]]
    if prepared:
        assert inputs.lengths.tolist() == [4, 5]


def test_what_people_should_know_is_passed_on() -> None:
    assert Inputs(TEXTS, letters(True), separate=False).notes == ["1 of 4 are cut"]
