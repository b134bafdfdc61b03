"""The units of a text, words or pieces: where they lie, and which token answers for each.

Shapes: T tokens, U units. Places are characters, [start, end).
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int32]

# A word is what lies between blanks and punctuation, and each punctuation mark is one, as in BERT's tokenizer. Not \w:
# it leaves out the vowel signs of many scripts. ASCII, then the blocks of Latin-1, general, CJK and full-width marks.
_MARKS = r"!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u2027\u2030-\u205e\u3001-\u3003\u3008-\u3020\uff01-\uff0f\uff1a-\uff20"
_WORD = re.compile(rf"[{_MARKS}]|[^\s{_MARKS}]+")


def places_of_words(words: Sequence[str]) -> Numbers:
    """Return (U, 2), the places of given words in the text that single spaces join them to."""
    lengths = np.array([len(word) for word in words], np.int32)
    ends = np.cumsum(lengths + 1, dtype=np.int32) - 1
    return np.stack([ends - lengths, ends], axis=1)


def find_words(text: str, starts: Numbers) -> Numbers:
    """Return (U, 2), the words of a text, cut also at `starts`, where the tokenizer's own words begin.

    So Chinese characters are words of their own where the tokenizer takes them so.
    """
    found = np.array([match.span() for match in _WORD.finditer(text)], np.int32).reshape(-1, 2)
    if not len(found):
        return found
    word = np.searchsorted(found[:, 0], starts, side="right") - 1  # the word that each start lies in, or after
    inside = (word >= 0) & (starts > found[word, 0]) & (starts < found[word, 1])
    begins = np.union1d(found[:, 0], starts[inside])
    ends = np.append(begins[1:], len(text))
    return np.stack(
        [begins, np.minimum(ends, found[np.searchsorted(found[:, 0], begins, side="right") - 1, 1])], axis=1
    )


def answering(places: Numbers, tokens: Numbers) -> Numbers:
    """Return (U,), for each place the number of the first token that reaches into it, or -1.

    `tokens` (T, 2) are places too, in order; a token may begin with the blank before a word.
    """
    if not len(tokens):
        return np.full(len(places), -1, np.int32)
    first = np.searchsorted(np.maximum.accumulate(tokens[:, 1]), places[:, 0], side="right")
    at = np.minimum(first, len(tokens) - 1)
    reaches = (first < len(tokens)) & (tokens[at, 0] < places[:, 1])
    return np.where(reaches, first, -1).astype(np.int32)


def merge(places: Numbers, tokens: Numbers) -> tuple[Numbers, Numbers]:
    """Join neighbours that the same token answers for, as in "..."; return places and tokens of what is left."""
    first = np.append(True, tokens[1:] != tokens[:-1])[: len(tokens)] | (tokens < 0)
    last = np.append(first[1:], True)[: len(tokens)]
    return np.stack([places[first, 0], places[last, 1]], axis=1), tokens[first]


def trim(text: str, places: Numbers) -> Numbers:
    """Return places without the blanks at their ends."""
    trimmed = []
    for start, end in places.tolist():
        piece = text[start:end]
        begin = end - len(piece.lstrip())
        trimmed.append((begin, max(begin, start + len(piece.rstrip()))))
    return np.array(trimmed, np.int32).reshape(-1, 2)
