"""Every error that a user can cause, and the words that help to mend it.

    InarchError
        RecipeError      a mistake in the recipe or in an override
        DataError        a mistake in the data: a file, a row, a label
        PluginError      a plugin that cannot be loaded, or two that disagree
        WeightsError     weights that are missing, unsafe, or do not fit
        RunError         a run directory, a checkpoint or a bundle that cannot be used

The command line prints the message after ``Error:`` and exits with 2. Anything else that escapes is a bug in inarch.
"""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 4_000
"""Characters of a message; what a file holds can be far longer, and what stands beside it must be seen."""


class InarchError(Exception):
    """The base of all errors that a user can mend.

    Its message may quote a file: it is one line, and no part of it can steer a terminal.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class RecipeError(InarchError):
    """A mistake in a recipe."""


class DataError(InarchError):
    """A mistake in the data."""


class PluginError(InarchError):
    """A plugin that is broken, missing, or in conflict with another."""

    advice: str = ""
    """What to type, where that is neither to install the plugin again nor to disable it alone."""


class WeightsError(InarchError):
    """Pretrained weights that cannot be loaded."""


class RunError(InarchError):
    """Something that a run left behind, or should have left, cannot be used."""


class LostError(RunError):
    """Another process of the run is gone, or hangs; what that one says tells why."""


class OutOfMemory(RunError):
    """A device is too small for the micro-batches; resumed, the run goes on with smaller ones."""


def printable(text: str) -> str:
    """Return text as a terminal may be given it: what is no visible character as Python writes it, `\\x1b`."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} [{len(text) - LONGEST:,} characters] {text[-LONGEST // 2 :]}"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def unknown(what: str, found: object, allowed: Iterable[object]) -> str:
    """Say that `found` is not one of `allowed`, naming the nearest match first."""
    names = [str(name) for name in allowed]
    folded = {name.lower(): name for name in names}
    matches = get_close_matches(str(found).lower(), folded, n=1, cutoff=0.5)
    hint = f" Did you mean '{folded[matches[0]]}'?" if matches else ""
    return f"unknown {what} '{found}'.{hint} Allowed: {listing(names)}."


def listing(names: Iterable[object], limit: int = 20) -> str:
    """Join names with commas; beyond `limit`, say how many are left out."""
    items = [str(name) for name in names]
    if not items:
        return "(none)"
    rest = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + rest
