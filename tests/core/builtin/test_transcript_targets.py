"""What the head `ctc` reads."""

import json
from dataclasses import replace
from typing import Any

import pytest

from inarch import Dataset, Rows, Stream, Targets
from inarch.builtin.transcript_targets import read_transcripts, verify_ctc
from inarch.errors import DataError

TRAIN = ["no one", "", "one more", "no more"]


def targets_of(column: list[Any], vocabulary: Any = "characters", **more: list[Any]) -> Targets:
    splits = {"train": Rows({"x": column, "y": column}, where="line {}".format)}
    for name, values in more.items():
        splits[name] = Rows({"x": values, "y": values}, where=(name + ", line {}").format)
    return read_transcripts(Dataset(splits, "x", "y", origin="here"), {"vocabulary": vocabulary})


def test_the_vocabulary_is_the_characters_of_train() -> None:
    targets = targets_of(TRAIN, valid=["one"])
    assert (targets.kind, targets.classes, targets.notes) == ("transcript", (), ())
    assert targets.counts == {"train": [4], "valid": [1]}
    assert targets.details == {"characters": " emnor", "merges": None, "values": {}}


def test_sub_words_are_plain_data_and_the_same_for_texts_in_any_order() -> None:
    targets = targets_of(TRAIN * 2, 12)
    assert len(targets.details["characters"]) + len(targets.details["merges"]) == 12
    assert targets == targets_of(TRAIN[::-1] * 2, 12)
    again = json.loads(json.dumps(targets.details))
    assert again["merges"] == [list(pair) for pair in targets.details["merges"]]


def test_a_space_is_known_to_sub_words_also_of_single_words() -> None:
    assert targets_of(["ab", "ba"], 5).details["characters"] == " ab"


def test_characters_that_train_does_not_have_are_told_with_their_first_place() -> None:
    targets = targets_of(TRAIN, valid=["one", "Öne möre", "x one"], test=["one!"])
    assert targets.notes == (
        "valid: 3 characters in 2 of 3 transcripts cannot be predicted, for no transcript of train has them: "
        "'x', 'Ö', 'ö'; the first: valid, line 1",
        "test: 1 character in 1 of 1 transcripts cannot be predicted, for no transcript of train has them: "
        "'!'; the first: test, line 0",
    )


def test_a_vocabulary_that_train_cannot_fill_is_told() -> None:
    [note] = targets_of(["ab", "ab"], 50).notes
    assert note == "the vocabulary has 5 pieces, not 50: no other pair of pieces is twice in train"


def test_a_vocabulary_smaller_than_the_characters_is_an_error() -> None:
    message = "^vocabulary 5 cannot hold the 6 different characters .* write more than 6, or vocabulary: characters"
    with pytest.raises(ValueError, match=message):
        verify_ctc(targets_of(TRAIN, 5), {"vocabulary": 5})
    verify_ctc(targets_of(TRAIN, 6), {"vocabulary": 6})
    verify_ctc(targets_of(TRAIN), {"vocabulary": "characters"})


@pytest.mark.parametrize(
    ("column", "more", "message"),
    [
        (["one", None], {}, "line 1: the transcript is missing; write an empty text"),
        (["one", 7], {}, "line 1: expected a text as transcript, found 7"),
        (["one", ["two"]], {}, r"line 1: expected a text as transcript, found \['two'\]"),
        (["one"], {"test": ["two", 2.0]}, "test, line 1: expected a text"),
        (["", ""], {}, "here: every transcript of train in 'y' is empty"),
    ],
)
def test_targets_that_are_no_texts_are_told_with_their_place(column: Any, more: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        targets_of(column, **more)


def test_a_stream_is_refused() -> None:
    dataset = Dataset({"train": Stream(3, lambda seed, start: iter(()), ["x", "y"])}, "x", "y", origin="here")
    with pytest.raises(DataError, match="'train' is a stream; this head must read all targets"):
        read_transcripts(dataset, {"vocabulary": "characters"})


def test_a_text_is_the_name_of_its_class_where_the_data_set_has_classes() -> None:
    columns = {"x": ["1", "2", "1"], "y": ["1", "2", "1"]}
    dataset = Dataset({"train": Rows(columns, where="line {}".format)}, "x", "y", origin="here")
    named = replace(dataset, classes={"one": ["1"], "two": ["2"]})
    found = read_transcripts(named, {"vocabulary": "characters"})
    assert found.details == {"characters": "enotw", "merges": None, "values": {"1": "one", "2": "two"}}
    with pytest.raises(DataError, match=r"line 1: unknown class '2'.*Allowed: 1"):
        read_transcripts(replace(dataset, classes={"one": ["1"]}), {"vocabulary": "characters"})
