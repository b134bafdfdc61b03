"""How long processes wait for each other, and the error that says for what one of them waited."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed

from inarch.errors import LostError, RunError

TIMEOUT = 1800.0
"""Seconds. Longer than what one process does while the others wait: features, a bundle, the first compiled step.

A process that ends is noticed at once, for its connections close. Only one that hangs, or whose machine vanishes
without a word, is waited for so long; `INARCH_TIMEOUT` changes it where machines often vanish, or one process is slow.
"""

_SOURCE = re.compile(r"\[[^\]\s]*/gloo/[^\]\s]*:\d+\]\s*")
_AFTERWARDS = "Application timeout caused pair closure"  # what gloo says of an operation after one that timed out
_LATE = re.compile(r"timed? ?out", re.IGNORECASE)


def timeout() -> timedelta:
    """Return how long one operation of all processes may take: `INARCH_TIMEOUT`, in seconds, or the default."""
    text = os.environ.get("INARCH_TIMEOUT", "")
    try:
        seconds = float(text) if text else TIMEOUT
        found = timedelta(seconds=seconds) if seconds > 0 else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        raise RunError(f"INARCH_TIMEOUT: expected seconds above 0, found '{text}'")
    return found


@contextmanager
def waiting_for(what: str, *facts: object) -> Iterator[None]:
    """Raise a LostError that says for what this process waited, if an operation of all processes fails inside.

    what: what is done there, as "training step {}", which `facts` are put into when they are needed.
    """
    started = time.monotonic()
    try:
        yield
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        raise LostError(_sentence(what.format(*facts), time.monotonic() - started, str(error))) from error


def _is_lost(error: RuntimeError) -> bool:
    """Say whether processes lost each other; gloo raises plain RuntimeErrors, which name its source files."""
    told = str(error)
    return isinstance(error, torch.distributed.DistError) or bool(_SOURCE.search(told)) or told.startswith(_AFTERWARDS)


def _sentence(what: str, seconds: float, told: str) -> str:
    rank, processes = (os.environ.get(name, "?") for name in ("RANK", "WORLD_SIZE"))
    reason = _SOURCE.sub("", told.strip().splitlines()[0])[:200].rstrip(". ")
    if _LATE.search(told):
        limit = timeout().total_seconds()
        why = f"hangs, needs longer than INARCH_TIMEOUT ({limit:g} s) for something, or cannot be reached"
    else:
        why = "has ended, or cannot be reached"
    return (
        f"{what}: process {rank} of {processes} (counted from 0), on {socket.gethostname()}, waited {seconds:.1f} s "
        f"for another process, which {why} ({reason}). What that one says tells why; the run goes on with --resume."
    )
