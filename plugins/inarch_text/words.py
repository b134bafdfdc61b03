"""The units of a text, words or pieces: where they lie, and which token answers for each.

Shapes: T tokens, U units. Places are characters, [start, end).
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int32]

# A word is what lies between blanks and punctuation; each punctuation mark, ideograph and kana is one too, as in BERT's
# tokenizer. Not \w, which leaves out the vowel signs of many scripts, and not the tokenizer's own words: GPT-2's end
# at these signs, and Llama has none. Marks: ASCII, then the blocks of Latin-1, general, CJK and full-width ones.
_MARKS = r"!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u2027\u2030-\u205e\u3001-\u3003\u3008-\u3020\uff01-\uff0f\uff1a-\uff20"
_SIGNS = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_WORD = re.compile(rf"[{_MARKS}{_SIGNS}]|[^\s{_MARKS}{_SIGNS}]+")


def places_of_words(words: Sequence[str]) -> Numbers:
    """Return (U, 2), the places of given words in the text that single spaces join them to."""
    lengths = np.array([len(word) for word in words], np.int32)
    ends = np.cumsum(lengths + 1, dtype=np.int32) - 1
    return np.stack([ends - lengths, ends], axis=1)


def find_words(text: str) -> Numbers:
    """Return (U, 2), the words of a text."""
    return np.array([match.span() for match in _WORD.finditer(text)], np.int32).reshape(-1, 2)


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
    """Join words that the same token answers for, as for "..." or 世界; return places and tokens of what is left."""
    joins = (tokens[1:] == tokens[:-1]) & (tokens[1:] >= 0)
    if not joins.any():
        return places, tokens
    first, last = np.append(True, ~joins), np.append(~joins, True)
    return np.stack([places[first, 0], places[last, 1]], axis=1), tokens[first]


def trim(text: str, places: Numbers) -> Numbers:
    """Return places without the blanks at their ends."""
    trimmed = []
    for start, end in places.tolist():
        piece = text[start:end]
        begin = end - len(piece.lstrip())
        trimmed.append((begin, max(begin, start + len(piece.rstrip()))))
    return np.array(trimmed, np.int32).reshape(-1, 2)
