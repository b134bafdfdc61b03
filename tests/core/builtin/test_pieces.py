"""Characters and sub-words, against the `tokenizers` library."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from inarch.builtin.pieces import Pieces, learn_merges

TEXTS = [line for line in (Path(__file__).parent / "test_span.py").read_text().splitlines() if line]
CHARACTERS = "".join(sorted(set().union(*TEXTS) | {" "}))


def pieces_of(texts: list[str], size: int) -> Pieces:
    characters = "".join(sorted(set().union(*texts) | {" "}))
    return Pieces(characters, learn_merges(texts, characters, size))


@pytest.mark.parametrize("size", [120, 300])
def test_sub_words_are_those_of_another_library(size: int) -> None:
    other = Tokenizer(models.BPE())
    other.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s?\S+|\s"), "isolated")
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, show_progress=False)
    other.train_from_iterator([" " + text for text in TEXTS], trainer)
    found = pieces_of(TEXTS, size)
    known = other.get_vocab()
    assert found.spelt[1:] == sorted(known, key=known.__getitem__) and len(found) == size
    for text in [*TEXTS, "a new line that", "xxx  yyy "]:
        assert [found.spelt[number] for number in found.encode(text)] == other.encode(" " + text).tokens


@given(st.text("ab cé\n", max_size=12))
def test_every_text_comes_back_as_it_was(text: str) -> None:
    for pieces in (Pieces("\n abcé"), pieces_of(["a cab", "a  cab\n", "é cab ab"], 12)):
        numbers = pieces.encode(text)
        assert pieces.decode(numbers) == text and all(0 < number <= len(pieces) for number in numbers)


def test_the_first_word_is_written_like_any_other() -> None:
    pieces = pieces_of(["the cat", "a cat", "cat the"], 20)
    assert pieces.encode("cat") * 2 == pieces.encode("cat cat") and len(pieces.encode("cat")) == 1


def test_characters_that_are_not_known_are_left_out() -> None:
    assert Pieces("abc").encode("aéb c") == [1, 2, 3] and "é" not in Pieces("abc") and "a" in Pieces("abc")
    assert Pieces("abc").encode("é") == [] == pieces_of(["a b"], 9).encode("é")


def test_pairs_that_are_seen_once_are_not_joined() -> None:
    assert learn_merges(["ab"], " ab", 99) == []
    assert len(pieces_of(["ab ab", "ab"], 99)) == 5


def test_two_ways_to_one_piece_are_one_piece() -> None:
    pieces = Pieces(" abc", [(2, 3), (3, 4), (5, 4), (2, 6)])
    assert pieces.spelt == ["", " ", "a", "b", "c", "ab", "bc", "abc"] and pieces.encode("bc")[1:] == [6]
