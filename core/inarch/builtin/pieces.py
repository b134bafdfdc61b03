"""Pieces: the characters or sub-words that texts are written with. Light: imports no torch."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

Pair = tuple[int, int]

_WORD = re.compile(r"\s?\S+|\s")


class Pieces:
    """Texts as numbers of pieces, from 1, and back; 0 is nobody's.

    characters: the first pieces. merges: pairs of numbers that are joined to one more piece, in their order; None:
    characters alone. Sub-words begin with the space before them, which the first word of a text is thought to have.
    """

    def __init__(self, characters: str, merges: Iterable[Sequence[int]] | None = None) -> None:
        self.spelt = ["", *characters]
        self.whole = merges is None
        self._ranks: dict[Pair, int] = {}
        self._numbers = {piece: number for number, piece in enumerate(self.spelt) if piece}
        self._joined: dict[Pair, int] = {}
        self._known: dict[str, list[int]] = {}
        for first, second in merges or ():
            self._ranks[first, second] = len(self._ranks)
            self._joined[first, second] = _number(self._numbers, self.spelt, first, second)

    def __len__(self) -> int:
        """Return how many pieces there are."""
        return len(self.spelt) - 1

    def __contains__(self, character: str) -> bool:
        """Say whether a character can be written."""
        return character in self._numbers

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's pieces; characters that cannot be written are left out."""
        kept = "".join(character for character in text if character in self._numbers)
        if self.whole:
            return [self._numbers[character] for character in kept]
        return [number for word in split_words(kept) for number in self._encode_word(word)]

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the text that is written by the pieces of these numbers."""
        text = "".join(self.spelt[number] for number in numbers)
        return text if self.whole else text.removeprefix(" ")

    def _encode_word(self, word: str) -> list[int]:
        if word not in self._known:
            numbers, last = [self._numbers[character] for character in word], len(self._ranks)
            while (
                pair := min(pairwise(numbers), key=lambda pair: self._ranks.get(pair, last), default=None)
            ) in self._ranks:
                numbers = _join(numbers, pair, self._joined[pair])
            self._known[word] = numbers
        return self._known[word]


def split_words(text: str) -> list[str]:
    """Return a text's words, each with the space before it, also the first; of an empty text none."""
    return _WORD.findall(" " + text) if text else []


def learn_merges(texts: Iterable[str], characters: str, size: int) -> list[Pair]:
    """Return the merges for `size` pieces by byte-pair encoding (Sennrich et al. 2016), or all that occur twice.

    Of pairs that are equally frequent the one of lower numbers is first, so that the answer is one.
    """
    counts = Counter(word for text in texts for word in split_words(text))
    spelt = ["", *characters]
    numbers = {piece: number for number, piece in enumerate(spelt) if piece}
    words = [[numbers[character] for character in word] for word in counts]
    times = list(counts.values())
    frequency: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for index, word in enumerate(words):
        for pair in pairwise(word):
            frequency[pair] += times[index]
            places[pair].add(index)
    heap = [(-count, pair) for pair, count in frequency.items()]
    heapify(heap)
    merges: list[Pair] = []
    while heap and len(numbers) < size:
        count, pair = heappop(heap)
        if -count != frequency[pair] or -count < 2:
            continue
        merges.append(pair)
        joined = _number(numbers, spelt, *pair)
        changed: set[Pair] = set()
        for index in places.pop(pair):
            before = words[index]
            after = words[index] = _join(before, pair, joined)
            for found in pairwise(before):
                frequency[found] -= times[index]
            for found in pairwise(after):
                frequency[found] += times[index]
                places[found].add(index)
            changed.update(pairwise(before), pairwise(after))
        for found in changed - {pair}:
            heappush(heap, (-frequency[found], found))
    return merges


def _number(numbers: dict[str, int], spelt: list[str], first: int, second: int) -> int:
    """Return the number of two pieces in one, a new one unless another pair is spelt alike."""
    piece = spelt[first] + spelt[second]
    if piece not in numbers:
        numbers[piece] = len(spelt)
        spelt.append(piece)
    return numbers[piece]


def _join(numbers: Sequence[int], pair: Pair, joined: int) -> list[int]:
    """Return numbers with every `pair` of neighbours as one, from the left."""
    result: list[int] = []
    index = 0
    while index < len(numbers):
        found = numbers[index] == pair[0] and index + 1 < len(numbers) and numbers[index + 1] == pair[1]
        result.append(joined if found else numbers[index])
        index += 1 + found
    return result
