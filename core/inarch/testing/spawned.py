"""A process started anew, in which transforms are tried as loader workers run them where no process is forked.

One for all checks of a session: it takes seconds to import what a backbone needs.
"""

import multiprocessing
import os
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import Any

from inarch.testing.check import Seen
from inarch.testing.seeds import seed_all

_SECONDS = 60  # for one call, the first import of everything included


class Gone(Exception):
    """The process ended, or did not answer."""


@cache
def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def call(function: Callable[..., Any], *arguments: Any, seconds: float = _SECONDS) -> Any:
    """Return what a function of this package answers in the other process; Gone, if that one does not live to tell."""
    try:
        return _pool().submit(_at, os.getcwd(), function, *arguments).result(seconds)  # noqa: PTH109
    except TimeoutError:
        end()
        raise Gone(f"it was not done after {seconds:g} seconds") from None
    except BrokenProcessPool:
        end()
        raise Gone("the process ended without a word: a crash, or an exit") from None


def end() -> None:
    """End the process; the next call starts another."""
    pool = _pool()
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)
    _pool.cache_clear()


def pickled(transform: Any) -> bytes:
    """Return a transform as it is handed to workers."""
    try:
        return pickle.dumps(transform)
    except Exception as error:
        raise Seen(f"{type(transform).__name__} cannot be pickled: {type(error).__name__}: {error}") from error


def transformed(transform: bytes, raws: Sequence[Any], seed: int) -> bytes:
    """Return the pickled examples of raw inputs, each made with the generators seeded."""
    function = pickle.loads(transform)
    examples = []
    for raw in raws:
        seed_all(seed)
        examples.append(function(raw))
    return pickle.dumps(examples)


def refusal(transform: bytes, raw: Any) -> tuple[str, bool] | None:
    """Return what a transform raises of one input, and whether that is a refusal; None: it makes an example."""
    try:
        pickle.loads(transform)(raw)
    except (ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}", True
    except BaseException as error:
        return f"{type(error).__name__}: {error}", False
    return None


def _at(folder: str, function: Callable[..., Any], *arguments: Any) -> Any:
    os.chdir(folder)
    return function(*arguments)
