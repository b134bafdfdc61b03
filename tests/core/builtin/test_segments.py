"""Segments and tags: equal to seqeval on random tags, and back again."""

import hashlib
import random

import pytest

from inarch.builtin.segments import Segment, find_breaks, find_segments, is_iob1, is_tag, tags_of, write_tags

LABELS = ["PER", "LOC", "ORG-sub"]


def random_tags(letters: str, seed: int) -> list[str]:
    """Return up to 12 tags in any order, so that most transitions are wrong ones."""
    drawn = random.Random(seed)
    tags = ["O", *(f"{letter}-{label}" for letter in letters for label in LABELS)]
    return drawn.choices(tags, k=drawn.randrange(13))


# What get_entities of seqeval 1.2.2 answers to these tags, hashed; not every pip can build that package.
SEQEVAL = {"BI": "e124b9faf05c383b", "I": "17aad7bc05c575c7", "BIES": "7842314558f06a59"}


@pytest.mark.parametrize("letters", SEQEVAL)
def test_segments_are_those_of_seqeval(letters: str) -> None:
    answers = hashlib.sha256()
    for seed in range(2000):
        segments = find_segments(random_tags(letters, seed))
        answers.update(repr([(s.label, s.first, s.last) for s in segments]).encode())
    assert answers.hexdigest().startswith(SEQEVAL[letters])


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_written_tags_read_as_the_same_segments_without_a_break(scheme: str) -> None:
    for seed in range(500):
        segments = find_segments(random_tags("BIES", seed))
        length = max((segment.last + 1 for segment in segments), default=0)
        tags = write_tags(segments, length, scheme)
        assert find_segments(tags) == segments
        assert not list(find_breaks(tags))
        assert set(tags) <= set(tags_of(LABELS, scheme))


def test_each_scheme_has_its_letters() -> None:
    segments = [Segment(0, 0, "x"), Segment(1, 3, "x"), Segment(5, 6, "y")]
    assert write_tags(segments, 8, "bio") == ["B-x", "B-x", "I-x", "I-x", "O", "B-y", "I-y", "O"]
    assert write_tags(segments, 8, "bioes") == ["S-x", "B-x", "I-x", "E-x", "O", "B-y", "E-y", "O"]


@pytest.mark.parametrize(
    ("tags", "units"),
    [
        ("B-x I-x O I-x", [3]),
        ("I-x I-x", [0]),
        ("B-x I-y I-y", [1]),
        ("B-x E-x I-x E-x", [2]),
        ("S-x E-x", [1]),
        ("B-x B-x S-x O", []),
    ],
)
def test_a_break_is_a_tag_that_goes_on_with_nothing(tags: str, units: list[int]) -> None:
    assert list(find_breaks(tags.split())) == units


def test_tags_whose_b_only_stands_between_neighbours_are_iob1() -> None:
    assert is_iob1([["I-x", "B-x", "O"], ["O", "I-y"]])
    assert not is_iob1([["I-x", "B-x"], ["O", "B-y"]])
    assert not is_iob1([["I-x", "B-y"]])


def test_a_tag_is_o_or_a_letter_and_a_label() -> None:
    assert [text for text in ["O", "B-x", "S-x-y", "NN", "B", "B-", "o", "L-x", ""] if is_tag(text)] == [
        "O",
        "B-x",
        "S-x-y",
    ]
