"""An attempt to break a promise: what is done, and a function that fails if the promise broke.

Each module beside this one has ``cases(full) -> list[Case]``: all of them for `benchmarks/torture.py`, and the few and
quick ones that the suite runs on every change. Files named `case_...` hold what such modules start or share.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Case(NamedTuple):
    """One way to break a promise."""

    promise: str
    """The promise, as the README's table names it: "1 exact resume"."""
    name: str
    """What is done: "text, lora, 2 workers, 1 process, killed 4 times"."""
    run: Callable[[Path], int]
    """Try it in an empty folder; returns how many cases it was, and raises AssertionError where the promise broke."""
