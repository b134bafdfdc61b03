"""What is known of a plugin, and its name on everything that it raises."""

import functools
import importlib
import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from inarch.errors import InarchError, PluginError, printable


@dataclass
class Plugin:
    """What is known of one plugin; `error` says why it cannot be used, `disabled` by what it is left out."""

    name: str
    module: str
    distribution: str
    version: str
    error: str | None = None
    details: str = ""
    """The traceback of `error`, if it has one."""
    registered: dict[str, list[str]] = field(default_factory=dict)
    hooks: list[str] = field(default_factory=list)
    disabled: str | None = None
    milliseconds: float | None = None
    """How long its import and registration took; None: it was not imported."""
    requires: str | None = None
    """Its distribution's own requirement on inarch, `inarch>=0.1,<0.2`."""
    advice: str = ""
    """What to type about `error`."""

    @property
    def origin(self) -> str:
        """Distribution and version, which tell whom to ask."""
        return f"{self.distribution} {self.version}"

    @property
    def label(self) -> str:
        """The plugin in an error message."""
        return f"plugin '{self.name}' ({self.origin})"

    @property
    def complaint(self) -> str:
        """Who is broken, why, and what to type; for a plugin with an `error`."""
        return f"{self.label}: {self.error}" + (f"; type: {self.advice}" if self.advice else "")

    def fail(self, error: BaseException, what: str = "") -> None:
        """Note why the plugin cannot be used, and where in its code."""
        self.error = printable(what + told(error) + _place(error))
        self.details = "".join(traceback.format_exception(error))
        newer = f"inarch[{self.name}]" if self.distribution == "inarch" else self.distribution
        folder = _developed_in(self.distribution)
        again = f"mend {folder}" if folder else f"pip install --upgrade '{newer}'"
        self.advice = f"{again}, or: inarch plugins disable {self.name}"
        if isinstance(error, PluginError) and error.advice:
            self.advice = error.advice
        if isinstance(error, ModuleNotFoundError) and error.name and f"{self.module}.".startswith(f"{error.name}."):
            self.advice = (
                f"pip install --force-reinstall --no-deps {self.distribution}, or: pip uninstall {self.distribution}"
            )


def _developed_in(distribution: str) -> str:
    """Return the folder of an editable install: no newer version is what it wants."""
    try:
        origin = json.loads(metadata.distribution(distribution).read_text("direct_url.json") or "{}")
        editable = origin.get("dir_info", {}).get("editable", False)
    except (metadata.PackageNotFoundError, OSError, ValueError, AttributeError):
        return ""
    return unquote(urlsplit(origin["url"]).path) if editable else ""


def told(error: BaseException) -> str:
    """Return type and message of an error; a plugin's own may fail when it is asked for its words."""
    try:
        words = str(error)
    except Exception:
        words = "(its message cannot be read)"
    kind = "" if type(error) is PluginError else type(error).__name__ + (": " if words else "")
    return f"{kind}{words}"


def _place(error: BaseException) -> str:
    """Name the innermost line of what is neither inarch's nor the import system's."""
    if isinstance(error, SyntaxError) and error.filename:  # found before any line of it ran
        return f" ({error.filename}, line {error.lineno})"
    others = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


@contextmanager
def named(plugin: Plugin, what: str, *meant: type[BaseException]) -> Iterator[None]:
    """Turn what a plugin's code raises into a PluginError that names it, an exit too; but not what it is `meant` to."""
    passed: tuple[type[BaseException], ...] = (InarchError, *meant)
    try:
        yield
    except passed:
        raise
    except (Exception, SystemExit) as error:  # an exit would end a run as if nothing were wrong
        raise PluginError(f"{plugin.label}: {what} failed: {told(error)}") from error


def guarded(plugin: Plugin, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plugin's function that may raise ValueError and OSError, as inputs and options are refused, and no more.

    Its signature stays.
    """

    @functools.wraps(function)
    def call(*given: Any, **options: Any) -> Any:
        with named(plugin, what, ValueError, OSError):
            return function(*given, **options)

    return call
