"""What is known of a plugin, and its name on everything that it raises."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from inarch.errors import InarchError, PluginError


@dataclass
class Plugin:
    """What is known of one plugin; `error` says why it cannot be used."""

    name: str
    module: str
    distribution: str
    version: str
    error: str | None = None
    details: str = ""
    registered: dict[str, list[str]] = field(default_factory=dict)
    hooks: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Distribution and version, which tell whom to ask."""
        return f"{self.distribution} {self.version}"

    @property
    def label(self) -> str:
        """The plugin in an error message."""
        return f"plugin '{self.name}' ({self.origin})"


@contextmanager
def named(plugin: Plugin, what: str, *meant: type[Exception]) -> Iterator[None]:
    """Turn what a plugin's code raises into a PluginError that names it, an exit too; but not what it is `meant` to."""
    passed: tuple[type[Exception], ...] = (InarchError, *meant)
    try:
        yield
    except passed:
        raise
    except (Exception, SystemExit) as error:  # an exit would end a run as if nothing were wrong
        raise PluginError(f"{plugin.label}: {what} failed: {type(error).__name__}: {error}") from error


def guarded(plugin: Plugin, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plugin's function that may raise ValueError and OSError, as inputs and options are refused, and no more.

    Its signature stays.
    """

    @functools.wraps(function)
    def call(*given: Any, **options: Any) -> Any:
        with named(plugin, what, ValueError, OSError):
            return function(*given, **options)

    return call
