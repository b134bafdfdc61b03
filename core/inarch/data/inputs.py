"""Raw inputs as examples: prepared together where the backbone can, else transformed one by one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from inarch.interfaces.backbone import Backbone, Example, Window

PORTION = 2 << 20
"""Bytes, 32 seconds of sound at 16 kHz. Activations are far larger: the encoder of Whisper tiny.en needs 1.1 GB for 32
windows of 30 s, and on a CPU one at a time is as fast."""


class Seen(NamedTuple):
    """One raw input as the backbone sees it."""

    members: list[Example]
    """An example for each part or window that goes through by itself."""
    kept: "np.ndarray[Any, Any] | None"
    """(W, 2), the stretch that each window answers for; None: the input is not seen through windows."""


class Inputs:
    """Raw inputs as examples, one for each part or window that goes through the backbone by itself.

    Prepared together where the backbone can, else transformed when asked for. One that cannot be read raises OSError
    or ValueError when it is asked for.
    """

    def __init__(self, raws: Sequence[Any], backbone: Backbone, separate: bool) -> None:
        self.raws, self.separate, self.backbone = raws, separate, backbone
        self.transform = backbone.transform(False)
        self.parts = len(split_parts(raws[0], separate)) if len(raws) else 1
        self.prepared = backbone.prepare(raws if self.parts == 1 else _Parts(raws, self.parts))
        self.notes: list[str] = list(getattr(self.prepared, "notes", ()))

    def __len__(self) -> int:
        return len(self.raws)

    def __getitem__(self, index: int) -> Seen:
        """Return one raw input as evaluation sees it."""
        if self.prepared is not None:
            return Seen([self.prepared[index * self.parts + part] for part in range(self.parts)], None)
        return see(self.raws[index], self.transform, self.windows(index), self.separate)

    def windows(self, index: int) -> Sequence[Window]:
        """Return the windows that an input is seen through; none: it goes as it is."""
        return () if self.prepared is not None or self.separate else self.backbone.windows(self.raws[index])

    @cached_property
    def lengths(self) -> "np.ndarray[Any, Any] | None":
        """How long each input is, the longest part counting; None where that is not known beforehand, or all alike."""
        if self.prepared is None and type(self.backbone).measure is Backbone.measure:
            return None
        found = [self._longest(index) for index in range(len(self))]
        return None if None in found else np.array(found)

    @cached_property
    def counts(self) -> "np.ndarray[Any, Any] | None":
        """How many examples each input makes; None: one, or one for each part."""
        if self.prepared is not None or self.separate or type(self.backbone).windows is Backbone.windows:
            return None
        return np.array([max(1, self._count(index)) for index in range(len(self))])

    def unreadable(self) -> Iterator[tuple[int, str]]:
        """Yield which of the inputs of known length cannot be read, and why; of others that is not known beforehand."""
        for index in () if self.lengths is None else np.flatnonzero(self.lengths == 0).tolist():
            try:
                self[index]
            except (OSError, ValueError) as error:
                yield index, str(error)

    def _longest(self, index: int) -> int | None:
        """Return the length of an input; 0 for one that cannot be read, as `unreadable` tells."""
        try:
            if self.prepared is not None:
                return max(map(self.backbone.length, self[index].members))
            found = [self.backbone.measure(part) for part in split_parts(self.raws[index], self.separate)]
            return None if None in found else max(length for length in found if length is not None)
        except (OSError, ValueError):
            return 0

    def _count(self, index: int) -> int:
        try:
            return len(self.windows(index))
        except (OSError, ValueError):
            return 1


class _Parts(Sequence[Any]):
    """The parts of raw inputs, one after the other."""

    def __init__(self, raws: Sequence[Any], parts: int) -> None:
        self.raws, self.parts = raws, parts

    def __len__(self) -> int:
        return len(self.raws) * self.parts

    def __getitem__(self, index: Any) -> Any:
        return split_parts(self.raws[index // self.parts], True)[index % self.parts]


def see(raw: Any, transform: Any, windows: Sequence[Window], separate: bool) -> Seen:
    """Return a raw input through its windows, if it has some, or else each of its parts."""
    if windows:
        return Seen([transform(window) for window in windows], kept_by(windows))
    return Seen([transform(part) for part in split_parts(raw, separate)], None)


def in_portions(examples: Iterable[Example], most: int) -> Iterator[list[Seen]]:
    """Yield the windows of one long input that go through together: at most `most`, of `PORTION` bytes or one alone."""
    portion: list[Seen] = []
    held = 0
    for example in examples:
        size = sum(tensor.nbytes for tensor in example.values())
        if portion and (len(portion) == most or held + size > PORTION):
            yield portion
            portion, held = [], 0
        portion.append(Seen([example], None))
        held += size
    if portion:
        yield portion


def kept_by(windows: Sequence[Window]) -> "np.ndarray[Any, Any]":
    """Return the stretch (W, 2) that each window answers for: neighbours part in the middle of their overlap."""
    starts, ends = np.array([w.start for w in windows]), np.array([w.end for w in windows])
    between = (starts[1:] + ends[:-1]) / 2
    return np.stack([np.r_[-np.inf, between], np.r_[between, np.inf]], 1)


def split_parts(raw: Any, separate: bool) -> list[Any]:
    """Return what of a raw input goes through the backbone by itself."""
    return list(raw.values()) if separate and isinstance(raw, Mapping) else [raw]
