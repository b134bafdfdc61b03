"""A process of a run that is sent a signal at a named moment."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import psutil


class Ask(NamedTuple):
    """How a run is asked to end."""

    place: str
    """One of `PLACES`."""
    signal: int
    number: int = 1
    """The how manieth time in a process."""
    processes: tuple[int, ...] = (0,)
    """Which processes of the group are asked."""
    twice: bool = False
    """Once more, a moment later."""
    readers: bool = False
    """Also the processes that read for it, as a batch system does."""


def command_line(arguments: Sequence[str], ask: Ask, home: Path) -> None:
    """Run the command line, and send this process the signal on the way; note when, in a file."""
    process = int(os.environ.get("RANK", "0"))
    if process in ask.processes:
        PLACES[ask.place](_sender(ask, home / f"asked-{process}.txt"), ask.number)
    sys.argv = ["inarch", *arguments]
    from inarch.cli.main import main

    main()


def _sender(ask: Ask, note: Path) -> Callable[[], None]:
    main = os.getpid()

    def send() -> None:
        try:
            with note.open("x") as file:
                file.write(str(time.monotonic()))
        except FileExistsError:  # another loader's process has sent it
            return
        for process in [psutil.Process(main), *(psutil.Process(main).children() if ask.readers else ())]:
            process.send_signal(ask.signal)
        if ask.twice:
            time.sleep(0.05)  # equal signals that are both still to be delivered are one
            os.kill(main, ask.signal)
            time.sleep(60)  # as if hanging: only the second signal can end this

    return send


def _before(owner: Any, name: str, send: Callable[[], None], number: int, chosen: Callable[..., bool]) -> None:
    """Send before the `number`th call that is chosen, from whichever process makes it."""
    call, calls = getattr(owner, name), 0

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += chosen(*given, **named)
        if calls == number and chosen(*given, **named):
            send()
        return call(*given, **named)

    setattr(owner, name, counted)


def _always(*given: Any, **named: Any) -> bool:
    return True


def _building_data(send: Callable[[], None], number: int) -> None:
    from inarch.data import splits

    _before(splits, "complete", send, number, _always)


def _building_the_model(send: Callable[[], None], number: int) -> None:
    from inarch.workflows import train

    _before(train, "build_model", send, number, _always)


def _waiting_for_a_batch(send: Callable[[], None], number: int) -> None:
    """In the loader's process, if there is one; and the batch would come much too late."""
    from inarch.data.loaders import Examples

    def late() -> None:
        send()
        time.sleep(8)

    _before(Examples, "__getitem__", late, number, lambda examples, key: key[0] is not None)


def _accumulating(send: Callable[[], None], number: int) -> None:
    from accelerate import Accelerator

    _before(Accelerator, "backward", send, number, _always)


def _evaluating(send: Callable[[], None], number: int) -> None:
    import torch

    from inarch import Backbone

    Backbone.__call__ = Backbone.__call__  # its own, so that no other module is counted
    _before(Backbone, "__call__", send, number, lambda *given, **named: torch.is_inference_mode_enabled())


def _syncing(pattern: str) -> Callable[[Callable[[], None], int], None]:
    def armed(send: Callable[[], None], number: int) -> None:
        def is_like(file: int) -> bool:
            return fnmatch(str(Path(f"/proc/self/fd/{file}").readlink()), pattern)

        _before(os, "fsync", send, number, is_like)

    return armed


PLACES: dict[str, Callable[[Callable[[], None], int], None]] = {
    "building data": _building_data,
    "building the model": _building_the_model,
    "waiting for a batch": _waiting_for_a_batch,
    "mid-accumulation": _accumulating,
    "in an evaluation": _evaluating,
    "writing a checkpoint": _syncing("*/checkpoints/.step-*"),
    "writing the bundle": _syncing("*/.model.*"),
    "writing results": _syncing("*/.results.json.*"),
}
SIGNALS = (signal.SIGTERM, signal.SIGINT)
