"""A loader worker that dies ends the run with one error that says what to do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.utils.data import Dataset as TorchDataset

from inarch import interruption
from inarch.data.loaders import Item, load
from inarch.errors import RunError


class Deadly(TorchDataset[Item]):
    """Items that kill the process that reads them, from the third on."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __getitem__(self, key: int) -> Item:
        if key >= 2:
            os.kill(os.getpid(), self.number)
        return {"rows": [key]}


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGKILL, r"killed by signal: Killed.*memory was full.*train.workers=1, it was 2.*--resume"),
     (signal.SIGBUS, r"killed by signal: Bus error.*/dev/shm.*--resume")],
)  # fmt: skip
def test_a_worker_that_dies_while_it_is_waited_for(number: int, said: str) -> None:
    with pytest.raises(RunError, match=said):
        list(load(Deadly(number), [0, 1, 2, 3], workers=2))


def test_a_worker_that_dies_while_the_run_computes() -> None:
    items = load(Deadly(signal.SIGKILL), [0, 1, 2, 3], workers=1)
    next(items)
    with pytest.raises(RunError, match="a process that reads data died"):
        time.sleep(20)  # as long as a step may take; the handler raises from it


def test_workers_serve_on_where_every_process_of_a_run_is_asked_to_end() -> None:
    """As a batch system does: the run needs what they read, to end where all its processes agree to."""
    with interruption.heeded(), interruption.deferred():
        assert len(list(load(Deadly(signal.SIGTERM), [0, 1, 2, 3], workers=2))) == 4


LEFT = """
import multiprocessing, sys
from torch.utils.data import Dataset

from inarch import interruption
from inarch.data.loaders import load

class Numbers(Dataset):
    def __getitem__(self, key):
        return {"rows": [key]}

with interruption.heeded():
    items = load(Numbers(), list(range(1000)), workers=2)
    print(next(items), *(process.pid for process in multiprocessing.active_children()))
    raise ValueError("which keeps the loader alive")
"""


def test_workers_end_with_a_run_that_fails() -> None:
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, timeout=60, check=False)
    first, workers = ended.stdout.split("}", 1)
    assert first == "{'rows': [0]" and ended.stderr.rstrip().endswith("which keeps the loader alive")
    assert len(workers.split()) == 2 and not [pid for pid in workers.split() if Path("/proc", pid).exists()]
    assert ended.returncode == 1 and time.monotonic() - started < 50


class Raising(TorchDataset[Item]):
    """Items that cannot be made."""

    def __getitem__(self, key: int) -> Item:
        raise RuntimeError("a bug in a transform")


def test_an_exception_in_a_worker_is_what_it_was() -> None:
    with pytest.raises(RuntimeError, match="a bug in a transform"):
        list(load(Raising(), [0], workers=1))
