"""A check: a function that tries a component and says what it saw; its docstring's first line is the contract."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from inarch.errors import printable
from inarch.testing.surroundings import TooLong, surroundings

_KIT = str(Path(__file__).parent)
_FRAMES = 4  # of the plugin's own code, the innermost ones


class Seen(Exception):
    """What a check saw that its contract does not allow."""


class Inapplicable(Exception):
    """A check has nothing to try: the component has not what it is about."""


class Violation(AssertionError):
    """A contract that a component breaks: the contract, what was seen, and where the contract is written."""

    def __init__(self, check: "Check", whose: str, seen: str) -> None:
        super().__init__(
            f"{seen}\n  contract: {check.contract}\n  written in: {check.where}\n  broken by: {whose} ({check.name})"
        )
        self.check, self.whose, self.seen = check, whose, seen


@dataclass(frozen=True)
class Check:
    """One promise of an interface, and how it is tried."""

    name: str
    contract: str
    """The promise in one sentence."""
    where: str
    """Where the promise is written: a public name, or a page."""
    function: Callable[[Any], None]

    def __call__(self, case: Any) -> None:
        """Try a case; raise Violation if it breaks the contract, Inapplicable if there is nothing to try."""
        __tracebackhide__ = True
        try:
            with surroundings():
                self.function(case)
        except (Inapplicable, KeyboardInterrupt):
            raise
        except Seen as seen:
            told = str(seen)
        except TooLong as error:
            told = str(error)
        except Exception as error:
            told = _raised(error)
        else:
            return
        raise Violation(self, case.whose, told)


class Checks(list[Check]):
    """The checks of a module, in the order in which they are written."""

    def add(self, where: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """Return a decorator that makes a check of a function. where: the public name or page that has the contract."""

        def decorate(function: Callable[[Any], None]) -> Callable[[Any], None]:
            contract = (function.__doc__ or "").strip().split("\n", 1)[0]
            self.append(Check(function.__name__, contract, where, function))
            return function

        return decorate


def expect(holds: Any, seen: str) -> None:
    """Go on if something holds; otherwise end the check with what was seen instead."""
    if not holds:
        raise Seen(seen)


def skip(reason: str) -> NoReturn:
    """End a check that has nothing to try."""
    raise Inapplicable(reason)


def _raised(error: Exception) -> str:
    """Say what a component raised, and where in its own code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_KIT)]
    lines = [f"    {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames[-_FRAMES:]]
    return "\n".join([f"{type(error).__name__}: {printable(str(error))}", *lines])
