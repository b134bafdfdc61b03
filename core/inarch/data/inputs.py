"""Raw inputs as examples: prepared together where the backbone can, else transformed one by one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from inarch.interfaces.backbone import Backbone, Example


class Inputs:
    """Raw inputs as examples, one for each part that goes through the backbone by itself.

    Prepared together where the backbone can, else transformed when asked for. One that cannot be read raises OSError
    or ValueError when it is asked for.
    """

    def __init__(self, raws: Sequence[Any], backbone: Backbone, separate: bool) -> None:
        self.raws, self.separate = raws, separate
        self.transform = backbone.transform(False)
        self.parts = len(split_parts(raws[0], separate)) if len(raws) else 1
        self.prepared = backbone.prepare(raws if self.parts == 1 else _Parts(raws, self.parts))
        self.notes: list[str] = list(getattr(self.prepared, "notes", ()))
        self._length = backbone.length

    def __len__(self) -> int:
        return len(self.raws)

    def __getitem__(self, index: int) -> list[Example]:
        """Return the examples of one raw input."""
        if self.prepared is None:
            return [self.transform(part) for part in split_parts(self.raws[index], self.separate)]
        return [self.prepared[index * self.parts + part] for part in range(self.parts)]

    @cached_property
    def lengths(self) -> "np.ndarray[Any, Any] | None":
        """How long each input is, the longest part counting; None where that is not known beforehand."""
        return None if self.prepared is None else np.array([self._longest(index) for index in range(len(self))])

    def unreadable(self) -> Iterator[tuple[int, str]]:
        """Yield which of the prepared inputs cannot be read, and why; of others that is not known beforehand."""
        for index in () if self.lengths is None else np.flatnonzero(self.lengths == 0).tolist():
            try:
                self[index]
            except ValueError as error:
                yield index, str(error)

    def _longest(self, index: int) -> int:
        try:
            return max(map(self._length, self[index]))
        except ValueError:  # `unreadable` tells why
            return 0


class _Parts(Sequence[Any]):
    """The parts of raw inputs, one after the other."""

    def __init__(self, raws: Sequence[Any], parts: int) -> None:
        self.raws, self.parts = raws, parts

    def __len__(self) -> int:
        return len(self.raws) * self.parts

    def __getitem__(self, index: Any) -> Any:
        return split_parts(self.raws[index // self.parts], True)[index % self.parts]


def split_parts(raw: Any, separate: bool) -> list[Any]:
    """Return what of a raw input goes through the backbone by itself."""
    return list(raw.values()) if separate and isinstance(raw, Mapping) else [raw]
