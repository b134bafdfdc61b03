"""The import of code that may do anything: print, exit, hang or crash."""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module
from operator import attrgetter
from typing import Any, ClassVar

from inarch.guard import Plugin

PATIENCE = 5.0
"""Seconds of an import after which people are told who makes them wait."""


def import_object(address: str) -> Any:
    """Import `module` or `module:attribute`."""
    module, _, attribute = (part.strip() for part in address.partition(":"))
    imported = import_module(module)
    return attrgetter(attribute)(imported) if attribute else imported


@contextmanager
def contained(plugin: Plugin) -> Iterator[None]:
    """Run a plugin's code so that it does little harm by accident.

    What it prints is no part of the output, `os._exit` raises SystemExit as `sys.exit` does, a crash shows where it
    was, and after a few seconds it is said who is waited for. Code that crashes ends the process all the same.
    """
    here = not faulthandler.is_enabled()
    if here:
        with suppress(Exception):  # standard error may be no file
            faulthandler.enable()
    _Watch.begin(plugin)
    try:
        with redirect_stdout(sys.stderr), _exits_caught():
            yield
    finally:
        _Watch.inside.pop()
        if here:
            faulthandler.disable()


@contextmanager
def _exits_caught() -> Iterator[None]:
    """Turn `os._exit` of this thread into SystemExit; what the plugin kept of it ends the process as ever, later."""
    ends: Callable[[int], Any] = os._exit
    where, inside = (os.getpid(), threading.get_ident()), True

    def leave(status: int) -> None:
        if not inside or where != (os.getpid(), threading.get_ident()):  # of a forked child, of another thread
            ends(status)
        raise SystemExit(f"os._exit({status})")

    vars(os)["_exit"] = leave
    try:
        yield
    finally:
        inside = False
        vars(os)["_exit"] = ends


class _Watch:
    """One thread for all imports, for to start one costs as much as an import; it ends when nothing is imported."""

    inside: ClassVar[list[tuple[Plugin, float]]] = []
    """Whose code runs, and since when."""
    lock: ClassVar = threading.Lock()
    thread: threading.Thread | None = None

    @classmethod
    def begin(cls, plugin: Plugin) -> None:
        """Take note of whose code runs now."""
        with cls.lock:
            cls.inside.append((plugin, time.monotonic()))
            if cls.thread is None or not cls.thread.is_alive():
                cls.thread = threading.Thread(target=cls.watch, daemon=True)
                cls.thread.start()

    @classmethod
    def watch(cls) -> None:
        """Say once of each plugin that it takes long."""
        told = None
        while True:
            time.sleep(PATIENCE / 10)
            with cls.lock:
                last = cls.inside[-1] if cls.inside else None
                if last is None:
                    cls.thread = None
                    return
            if last is not told and time.monotonic() - last[1] >= PATIENCE:
                told = last
                _tell(last[0])


def _tell(plugin: Plugin) -> None:
    sys.stderr.write(
        f"Still importing {plugin.label} after {PATIENCE:.0f} s. If it hangs: Ctrl-C, then "
        f"inarch plugins disable {plugin.name}\n(for one command: INARCH_PLUGINS with the names of those to use)\n"
    )
    sys.stderr.flush()
