"""Promise 2: whatever happens to the disk, a run goes on from its last good checkpoint, to the same bits.

The disk fails under what writes checkpoints and features, at every open, write, fsync, rename, mkdir and unlink in
turn: the process dies there, or is refused, or there is no more room. Then under whole runs, likewise.
"""

import gc
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attempts.case import Case
from attempts.case_fault import may_mount
from attempts.case_fault_accidents import accidents, clock, data_vanishes, no_room
from attempts.case_fault_records import lives, stores
from attempts.case_fault_runs import again, damaged, trainings
from group import forked

PROMISE = "2 crash-safe"
LIMIT = 3600
"""Seconds after which a case hangs."""
LIGHT = multiprocessing.get_context("spawn")
"""Processes without torch, which fork ten times faster."""
LATER = [("fail", 0), ("locked", 0), ("gone", 0)]
"""A change is refused; the run may not write any more; its directory is gone."""


def cases(full: bool) -> list[Case]:
    """Return every fault at every change, or at some of them."""
    records = [_case("checkpoints and records", lives, 1 if full else 17),
               _case("stored features", stores, 1 if full else 17)]  # fmt: skip
    if not full:
        return [
            *records,
            _case("trainings, all faults", trainings, [("die", 0), ("cut", 700), ("full", 900), *LATER], 45),
            _case("a finished run goes on", again, 30),
            _case("damaged checkpoints", damaged, 8),
            _case("accidents", accidents),
        ]
    several = {
        "die": [("die", 0)],
        "cut off": [("cut", 0), ("cut", 60), ("cut", 700)],
        "no room": [("full", 0), ("full", 900)],
        **{what: [(what, size)] for what, size in LATER},
    }
    room = [_case("a file system without room, then one that may only be read", no_room, [20, 40, 80])]
    return [
        *records,
        *(_case(f"trainings, {what}", trainings, faults, 1) for what, faults in several.items()),
        _case("a finished run goes on", again, 1),
        _case("damaged checkpoints", damaged, 1),
        _case("accidents", accidents),
        _case("the clock jumps", clock),
        _case("photos vanish", data_vanishes),
        *(room if may_mount() else []),
    ]


def _case(name: str, function: Callable[..., int], *arguments: Any) -> Case:
    return Case(PROMISE, name, partial(_apart, function, arguments))


def _apart(function: Callable[..., int], arguments: Sequence[Any], folder: Path) -> int:
    """Run a case in a process of its own."""
    context: Any = LIGHT if function in (lives, stores) else forked()
    process = context.Process(target=_do, args=(function, arguments, folder))
    process.start()
    process.join(LIMIT)
    process.kill()
    process.join()
    failed = folder / "failed.txt"
    assert process.exitcode == 0, failed.read_text() if failed.exists() else f"exit code {process.exitcode}"
    return int((folder / "tried.txt").read_text())


def _do(function: Callable[..., int], arguments: Sequence[Any], folder: Path) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # bits depend on it
        gc.freeze()
    os.environ |= {"INARCH_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    with (folder / "output.txt").open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    try:
        (folder / "tried.txt").write_text(str(function(folder, *arguments)))
    except BaseException:
        (folder / "failed.txt").write_text(traceback.format_exc())
        sys.exit(1)
