"""Where a check runs: an empty folder, no network, a limit of time, and generators that are put back."""

import functools
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

LIMIT = 120.0
"""Seconds that one check may take."""
LIMIT_OF_ODD = 20.0
"""Seconds that one input may take that cannot be read."""
_HERE = ("", "localhost", "::", "::1", "0.0.0.0")
_DOORS: list[tuple[Any, str]] = [
    (socket, "getaddrinfo"),
    (socket, "gethostbyname"),
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
]
_watched: list[list[str]] = []


class TooLong(BaseException):
    """A check took longer than it may; no component's `except Exception` catches it."""


@functools.cache
def first_environment() -> dict[str, str]:
    """Return the environment as it was when it was first asked for: before plugins are loaded, who may change it."""
    return dict(os.environ)


@contextmanager
def surroundings() -> Iterator[None]:
    """Run a check by itself; what it does to the process's folder, generators and signals is undone."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="inarch-check-"))
        stack.enter_context(_inside(folder))
        stack.enter_context(_generators_kept())
        stack.enter_context(undone())
        stack.enter_context(offline())
        stack.enter_context(limited(LIMIT))
        yield


@contextmanager
def offline() -> Iterator[list[str]]:
    """Refuse, with OSError, what goes beyond this machine; the list tells what was wanted."""
    _install_watch()
    wanted: list[str] = []
    _watched.append(wanted)
    with ExitStack() as stack:
        for place, name in _DOORS:  # before anybody else's guard refuses it: then nobody would tell
            stack.enter_context(_guarded(place, name))
        try:
            yield wanted
        finally:
            _watched.remove(wanted)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooLong after so many seconds; off the main thread there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"it was not done after {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, end)
    rest, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, rest)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def undone() -> Iterator[None]:
    """Put the environment, the filters of warnings and torch's settings back."""
    environment, filters = dict(os.environ), list(warnings.filters)
    torch: Any = sys.modules.get("torch")
    settings = [(put, get()) for put, get in _settings(torch)] if torch else []
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        warnings.filters[:] = filters  # type: ignore[index]
        for put, value in settings:
            put(value)


def _settings(torch: Any) -> list[tuple[Callable[[Any], Any], Callable[[], Any]]]:
    return [
        (torch.set_num_threads, torch.get_num_threads),
        (torch.set_default_dtype, torch.get_default_dtype),
        (torch.set_default_device, torch.get_default_device),
        (torch.set_grad_enabled, torch.is_grad_enabled),
        (torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled),
        (torch.set_float32_matmul_precision, torch.get_float32_matmul_precision),
    ]


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    before = os.getcwd()  # noqa: PTH109
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Put the global generators back, of the libraries that are imported."""
    python = random.getstate()
    numpy: Any = sys.modules.get("numpy")
    torch: Any = sys.modules.get("torch")
    kept = numpy.random.get_state() if numpy else None, torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(kept[0])
        if torch:
            torch.set_rng_state(kept[1])


@contextmanager
def _guarded(place: Any, name: str) -> Iterator[None]:
    """Look at the address that a function of sockets is given before it is called."""
    function, own = getattr(place, name), name in vars(place)

    @functools.wraps(function)
    def call(*given: Any, **options: Any) -> Any:
        address = [*given, *options.values()][1 if isinstance(place, type) else 0]
        host = None if isinstance(place, type) else address  # else a socket that is a file
        _refuse_beyond(name, address[0] if isinstance(address, tuple) else host)
        return function(*given, **options)

    setattr(place, name, call)
    try:
        yield
    finally:
        setattr(place, name, function) if own else delattr(place, name)


@functools.cache
def _install_watch() -> None:
    sys.addaudithook(_watch)  # cannot be taken out again: it does nothing outside `offline`


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched or not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        _refuse_beyond(event, address[0] if isinstance(address, tuple) else None)  # else a socket that is a file
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        _refuse_beyond(event, arguments[0])


def _refuse_beyond(what: str, host: Any) -> None:
    host = host.decode(errors="replace") if isinstance(host, bytes) else host
    if isinstance(host, str) and host not in _HERE and not host.startswith("127."):
        for wanted in _watched:
            wanted.append(host)
        raise OSError(f"a check has no network: {what} {host}")
