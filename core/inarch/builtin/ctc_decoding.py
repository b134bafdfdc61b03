"""From the probabilities of each frame to a text: the best path, or a search over prefixes.

Shapes: T frames, C pieces with the blank, which is 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, log1p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLANK = 0
LEAST = log(1e-4)  # a piece that is less likely in a frame lengthens no prefix
NOTHING = -float("inf")

Logs = NDArray[np.floating[Any]]
Times = tuple["Times", int] | None  # the frames in which the pieces of a prefix begin, the last one first
Key = int | tuple[int, int]  # a prefix that is known, or a known one and the piece that makes it longer


class Decoded(NamedTuple):
    """What was found in the frames of one example."""

    pieces: list[int]
    """Numbers of pieces, in order."""
    frames: list[int]
    """The frame in which each of them begins."""
    score: float
    """Natural logarithm of their probability, as far as it was summed."""


def greedy(logs: Logs) -> Decoded:
    """Return the pieces of the likeliest path (Graves et al. 2006, section 3.2); logs (T, C), of probabilities."""
    path = logs.argmax(1)
    begins = np.flatnonzero((path != BLANK) & (path != np.concatenate([[BLANK], path[:-1]])))
    return Decoded(path[begins].tolist(), begins.tolist(), float(logs.max(1).sum()))


def beam(logs: Logs, width: int) -> Decoded:
    """Return the likeliest pieces that a search over prefixes finds; it sums the paths of each (Hannun et al. 2014).

    It is arXiv 1408.2873 without a language model. logs (T, C), of probabilities. width: prefixes that are kept after
    each frame, and likeliest pieces by which they may grow in it; if those are all, it is exact but for `LEAST`.
    """
    prefixes = _Prefixes()
    kept = {0: _State(0.0, NOTHING, None)}
    for frame, row in enumerate(logs):
        found = _grow(prefixes, kept, row.tolist(), _likeliest(row, width))
        best = sorted(found.items(), key=lambda item: -item[1].total())[:width]
        kept = {key if isinstance(key, int) else prefixes.add(*key): grown.settle(frame) for key, grown in best}
    number = max(kept, key=lambda number: kept[number].total)
    return Decoded(prefixes.spell(number), _in_order(kept[number].times), kept[number].total)


class _Prefixes:
    """Prefixes by number, 0 being the empty one: each is another and a piece, so that long ones cost no more."""

    def __init__(self) -> None:
        self.parent, self.piece = [-1], [BLANK]
        self.children: dict[Key, int] = {}

    def add(self, parent: int, piece: int) -> int:
        """Return the number of a prefix that is one piece longer."""
        number = self.children[parent, piece] = len(self.parent)
        self.parent.append(parent)
        self.piece.append(piece)
        return number

    def spell(self, number: int) -> list[int]:
        """Return a prefix' pieces."""
        pieces = []
        while number:
            pieces.append(self.piece[number])
            number = self.parent[number]
        return pieces[::-1]


class _State(NamedTuple):
    """What is known of a prefix after a frame: logarithms of ending in a blank and in its last piece."""

    blank: float
    piece: float
    times: Times

    @property
    def total(self) -> float:
        return _add(self.blank, self.piece)


@dataclass(slots=True)
class _Grown:
    """A prefix in the next frame: it was there before, or is entered by its last piece, or both."""

    blank: float = NOTHING
    piece: float = NOTHING
    times: Times = None
    entered: float = NOTHING
    before: Times = None

    def total(self) -> float:
        return _add(_add(self.blank, self.piece), self.entered)

    def settle(self, frame: int) -> _State:
        """Return the state after the frame; its last piece begins where more of its probability comes from."""
        entered = self.entered > _add(self.blank, self.piece)
        return _State(self.blank, _add(self.piece, self.entered), (self.before, frame) if entered else self.times)


def _grow(prefixes: _Prefixes, kept: Mapping[int, _State], row: list[float], likeliest: list[int]) -> dict[Key, _Grown]:
    """Return what the kept prefixes become in a frame of which the row has the logarithms."""
    found: dict[Key, _Grown] = {}
    for number, (blank, piece, times) in kept.items():
        last, total = prefixes.piece[number], _add(blank, piece)
        own = found.setdefault(number, _Grown())
        own.blank, own.times = total + row[BLANK], times
        if number:
            own.piece = piece + row[last]
        for longer in likeliest:
            before = blank if longer == last else total  # a piece twice in a row is two only with a blank between
            if before != NOTHING:
                key = (number, longer)
                grown = found.setdefault(prefixes.children.get(key, key), _Grown())
                grown.entered, grown.before = before + row[longer], times
    return found


def _likeliest(row: Logs, width: int) -> list[int]:
    """Return the numbers of a frame's likeliest pieces, at most `width`, without the blank."""
    order: NDArray[np.intp] = np.argsort(-row[1:], kind="stable")[:width] + 1
    likely: list[int] = order[row[order] >= LEAST].tolist()
    return likely


def _in_order(times: Times) -> list[int]:
    frames = []
    while times is not None:
        times, frame = times
        frames.append(frame)
    return frames[::-1]


def _add(one: float, other: float) -> float:
    """Return the logarithm of the sum of two numbers that are given by theirs."""
    if one < other:
        one, other = other, one
    return one if other == NOTHING else one + log1p(exp(other - one))
