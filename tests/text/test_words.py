"""Words and the tokens that answer for them."""

import numpy as np
import pytest

from inarch_text.words import answering, find_words, merge, places_of_words, trim


def numbers(*pairs):
    return np.array(pairs, np.int32).reshape(-1, 2)


@pytest.mark.parametrize("text, words", [
    ("A good film, isn't it?", ["A", "good", "film", ",", "isn", "'", "t", "it", "?"]),
    ("«Où?» …fin", ["«", "Où", "?", "»", "…", "fin"]),
    ("हिन्दी शब्द", ["हिन्दी", "शब्द"]),
    ("e\u0301té नमस्ते", ["e\u0301té", "नमस्ते"]),
    ("ab世界cd、カ", ["ab", "世", "界", "cd", "、", "カ"]),
    ("שלום, مرحبا", ["שלום", ",", "مرحبا"]),
    ("👨‍👩‍👧👍🏽 x_y@z", ["👨‍👩‍👧👍🏽", "x", "_", "y", "@", "z"]),
    (" \n ", []),
])  # fmt: skip
def test_words_lie_between_blanks_and_marks(text, words):
    assert [text[start:end] for start, end in find_words(text).tolist()] == words


def test_given_words_lie_where_single_spaces_join_them():
    words = ["a", "", "good", "film"]
    assert [" ".join(words)[start:end] for start, end in places_of_words(words).tolist()] == words


def test_the_first_token_that_reaches_into_a_word_answers():
    words = numbers((0, 4), (5, 9), (10, 12), (13, 14))
    tokens = numbers((0, 2), (2, 4), (4, 7), (7, 9), (12, 14))  # the third begins with the blank before its word
    assert answering(words, tokens).tolist() == [0, 2, -1, 4]
    assert answering(words, numbers()).tolist() == [-1] * 4
    assert answering(numbers(), tokens).tolist() == []


def test_words_of_the_same_token_are_joined():
    places, tokens = merge(numbers((0, 1), (1, 2), (2, 3), (4, 5), (6, 7), (7, 8)), np.array([0, 0, 0, 1, -1, -1]))
    assert places.tolist() == [[0, 3], [4, 5], [6, 7], [7, 8]] and tokens.tolist() == [0, 1, -1, -1]
    assert merge(numbers(), np.array([], np.int32))[0].shape == (0, 2)


def test_places_lose_the_blanks_at_their_ends():
    assert trim("a  good ", numbers((0, 1), (1, 7), (7, 8), (1, 3))).tolist()[:2] == [[0, 1], [3, 7]]
    assert all(start >= end for start, end in trim("a  good ", numbers((7, 8), (1, 3))).tolist())
