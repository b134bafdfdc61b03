"""A process of a run that kills itself at a named moment, so that nothing of it can be tidied up."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple


class Kill(NamedTuple):
    """Where a run is killed."""

    place: str
    """One of `PLACES`, or `any time`: from outside, after a share of the time that the whole run took."""
    number: float = 1
    """The how manieth time in this process; of `any time`, the share."""
    process: int = 0
    """Which process is killed, and with it the others,"""
    alone: bool = False
    """or not: they must find out."""


class Group(NamedTuple):
    """A process' place among others."""

    process: int
    processes: int
    port: int


def go(action: Callable[..., object], arguments: tuple[Any, ...], group: Group, kill: Kill | None, home: Path) -> None:
    """Do something in this process, which is one of a group, and die on the way; all that it says is in a file."""
    os.environ |= {"INARCH_CACHE": str(home / "cache"), "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    if group.processes > 1:
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(group.port), "WORLD_SIZE": str(group.processes),
            "LOCAL_WORLD_SIZE": str(group.processes), "RANK": str(group.process), "LOCAL_RANK": str(group.process),
        }  # fmt: skip
    with (home / f"told-{group.process}.txt").open("a") as told:
        os.dup2(told.fileno(), 1)
        os.dup2(told.fileno(), 2)
    import torch

    torch.set_num_threads(1)  # bits depend on it
    gc.freeze()  # what was imported before the process began: looking through it takes longer than the training
    if kill is not None and kill.place in PLACES and kill.process == group.process:
        PLACES[kill.place](int(kill.number))
    action(*arguments)
    sys.stdout.flush()


def _after(owner: Any, name: str, number: int, chosen: Callable[..., bool] = lambda *given, **named: True) -> None:
    """Die after the `number`th call that is chosen."""
    call, calls, process = getattr(owner, name), 0, os.getpid()

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        found = call(*given, **named)
        if os.getpid() == process and chosen(*given, **named):
            calls += 1
            if calls == number:
                os.kill(process, signal.SIGKILL)
        return found

    setattr(owner, name, counted)


def _in_a_step(number: int) -> None:
    from accelerate import Accelerator

    _after(Accelerator, "backward", number)


def _after_a_step(number: int) -> None:
    from torch.amp import GradScaler

    _after(GradScaler, "step", number)


def _in_an_evaluation(number: int) -> None:
    import torch

    from inarch import Backbone

    Backbone.__call__ = Backbone.__call__  # its own, so that no other module is counted
    _after(Backbone, "__call__", number, lambda *given, **named: torch.is_inference_mode_enabled())


def _between_phases(number: int) -> None:
    from inarch.training.state import RunState

    _after(RunState, "next_phase", number)


def _syncing(pattern: str) -> Callable[[int], None]:
    """At a write that has reached the disk, of a file or folder whose path is like this."""

    def armed(number: int) -> None:
        _after(os, "fsync", number, lambda file: fnmatch(str(Path(f"/proc/self/fd/{file}").readlink()), pattern))

    return armed


def _removing_a_checkpoint(number: int) -> None:
    remove, calls = shutil.rmtree, 0

    def half(path: Path, *given: Any, **named: Any) -> None:
        nonlocal calls
        weights = Path(path) / "model.safetensors"
        if "step-" in Path(path).name and weights.exists():
            calls += 1
            if calls == number:
                weights.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        remove(path, *given, **named)

    shutil.rmtree = half  # type: ignore[assignment]


def _telling_the_tracker(number: int) -> None:
    from accelerate.tracking import TensorBoardTracker

    _after(TensorBoardTracker, "log", number)


PLACES: dict[str, Callable[[int], None]] = {
    "in a step": _in_a_step,
    "after a step": _after_a_step,
    "in an evaluation": _in_an_evaluation,
    "between phases": _between_phases,
    "writing metrics": _syncing("*/.metrics.jsonl.*"),
    "writing a checkpoint": _syncing("*/checkpoints/.step-*"),
    "renaming a checkpoint": _syncing("*/checkpoints"),
    "removing a checkpoint": _removing_a_checkpoint,
    "writing the bundle": _syncing("*/.model.*"),
    "telling the tracker": _telling_the_tracker,
    "writing results": _syncing("*/.results.json.*"),
}
