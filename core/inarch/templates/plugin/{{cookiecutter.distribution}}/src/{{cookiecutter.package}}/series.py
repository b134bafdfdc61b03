"""Raw examples as numbers, whatever a table holds. Light: `inarch check` reads every example with it.

A raw example is a list of numbers, as jsonl and parquet files have them, or a text of numbers with spaces or commas
between them, as csv files do. What is none of these is a ValueError that says why; inarch adds the file and the line.
"""

import math
from typing import Any


def read_series(raw: Any) -> list[float]:
    """Return the numbers of a raw example: at least one, all finite."""
    parts = raw.replace(",", " ").split() if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        raise ValueError(f"expected a list of numbers or a text of numbers, found {raw!r}")
    if not parts:
        raise ValueError("has no numbers")
    return [_number(part, place) for place, part in enumerate(parts, start=1)]


def _number(part: Any, place: int) -> float:
    try:
        number = float(part)
    except (TypeError, ValueError):
        raise ValueError(f"value {place} is no number: {part!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"value {place} is {number}; leave it out, or fill it from its neighbours")
    return number
