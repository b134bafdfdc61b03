"""Windows of series, and how they are split by time. Light: no torch.

Shapes: C channels, H steps to forecast, L steps of context, T steps of a series.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, methodcaller
from typing import Any

from inarch import DataError, Dataset, Rows

Values = Sequence[Sequence[float]]
"""(T, C); what is missing is NaN."""


@dataclass(frozen=True)
class Series:
    """One series, as long as its table."""

    name: str
    values: Values


def read_window(raw: Any) -> list[list[float]]:
    """Return a window (L, C) of numbers written as lists, one list where there is one channel; or raise ValueError."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise ValueError(f"expected a list of steps, found {str(raw)[:50]!r}")
    steps = [step if isinstance(step, Sequence) and not isinstance(step, str) else [step] for step in raw]
    for number, step in enumerate(steps):
        for value in step:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"step {number}: expected a number, found {str(value)[:50]!r}")
        if not step or len(step) != len(steps[0]):
            raise ValueError(f"step {number} has {len(step)} channels, the first one {len(steps[0])}")
    return [[float(value) for value in step] for step in steps]


def cut(read: Sequence[Series], origin: str, context: int, horizon: int, season: int, stride: int,
        shares: tuple[float, float]) -> Dataset:  # fmt: skip
    """Return the windows of series: rows of `window` (L, C) and `future`, (H, C) with the unit (C) of its errors."""
    steps = len(read[0].values)
    last, first = steps - round(shares[1] * steps), steps - round((shares[0] + shares[1]) * steps)
    starts = {
        "train": range(first - horizon, context - 1, -stride),  # backwards: the newest are never left out
        "valid": range(first, last - horizon + 1, horizon),
        "test": range(last, steps - horizon + 1, horizon),
    }
    for split, found in starts.items():
        if not found:
            told = f"{steps} steps, of which valid begins at {first} and test at {last}"
            raise DataError(f"{origin}: no window of {context} + {horizon} steps for {split}: the table has {told}")
    units = [_naive_errors(one.values[:first], season) for one in read]
    kept = [(one, unit) for one, unit in zip(read, units, strict=True) if all(unit)]
    if not kept:
        raise DataError(f"{origin}: every series never changes over {season} steps before valid, or is not known")
    splits, gaps = {}, 0
    for split, found in starts.items():
        rows = [_Window(one, start, unit) for one, unit in kept for start in sorted(found)]
        whole = [row for row in rows if row.is_whole(context, horizon)]
        gaps += len(rows) - len(whole)
        columns = {
            "window": _Column(whole, methodcaller("seen", context)),
            "future": _Column(whole, methodcaller("future", horizon)),
            "series": _Column(whole, attrgetter("series.name")),
        }
        splits[split] = Rows(columns, _Where(origin, whole))
    return Dataset(splits, "window", "future", origin=origin, notes=_notes(len(read) - len(kept), gaps, season))


@dataclass(frozen=True)
class _Window:
    """The window that forecasts from a step on."""

    series: Series
    start: int
    unit: Sequence[float]

    def seen(self, context: int) -> list[list[float]]:
        return [list(step) for step in self.series.values[self.start - context : self.start]]

    def future(self, horizon: int) -> dict[str, Any]:
        steps = [list(step) for step in self.series.values[self.start : self.start + horizon]]
        return {"values": steps, "unit": list(self.unit)}

    def is_whole(self, context: int, horizon: int) -> bool:
        steps = self.series.values[self.start - context : self.start + horizon]
        return all(math.isfinite(value) for step in steps for value in step)


class _Column(Sequence[Any]):
    """What windows have, made anew whenever it is read: overlapping windows take the memory of one series."""

    def __init__(self, windows: Sequence[_Window], read: Callable[[_Window], Any]) -> None:
        self.windows, self.read = windows, read

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: Any) -> Any:
        return self.read(self.windows[index])


@dataclass(frozen=True)
class _Where:
    """Names the place of a row."""

    origin: str
    windows: Sequence[_Window]

    def __call__(self, index: int) -> str:
        window = self.windows[index]
        return f"{self.origin}, {window.series.name}, step {window.start}"


def _naive_errors(values: Values, season: int) -> list[float]:
    """Return each channel's mean absolute change over a season; 0 where it is not known, or never changes."""
    units = []
    for channel in zip(*values, strict=True):
        pairs = zip(channel[season:], channel[:-season], strict=True)
        changes = [abs(now - before) for now, before in pairs if math.isfinite(now - before)]
        units.append(sum(changes) / len(changes) if changes else 0.0)
    return units


def _notes(unknown: int, gaps: int, season: int) -> tuple[str, ...]:
    told: Mapping[str, int] = {
        f"series are left out: before valid they never change over {season} steps, or are not known": unknown,
        "windows are left out: they have a gap": gaps,
    }
    return tuple(f"{count:,} {what}" for what, count in told.items() if count)
