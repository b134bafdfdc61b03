"""What one process sees of another that ends or hangs."""

import os
import time
from collections.abc import Callable

import torch
from accelerate.utils import broadcast_object_list, gather_object

from inarch.errors import RunError
from inarch.training.waiting import waiting_for
from inarch.workflows.start import start_processes


def wait_in_vain(mode: str) -> None:
    """One of two processes ends or hangs, and the other is told so, whatever they were doing together."""
    os.environ["INARCH_TIMEOUT"] = "1" if mode == "hangs" else "60"
    accelerator = start_processes()
    model = accelerator.prepare(torch.nn.Linear(3, 1))
    actions: list[Callable[[], object]] = [
        lambda: gather_object([0]),
        lambda: model(torch.ones(2, 3)).sum().backward(),
        accelerator.wait_for_everyone,
        lambda: broadcast_object_list([0]),
    ]
    actions[0]()  # while both are there
    if accelerator.process_index == 1:
        time.sleep(3 if mode == "hangs" else 0)
        os._exit(0)
    started = time.monotonic()
    for action in actions:
        told = ""
        try:
            with waiting_for("writing the checkpoint of step {}", 7):
                action()
        except RunError as error:
            told = str(error)
        assert told.startswith("writing the checkpoint of step 7: process 0 of 2"), told
        assert ("INARCH_TIMEOUT (1 s)" if mode == "hangs" else "has ended") in told and "--resume" in told, told
    assert time.monotonic() - started < 10
    os._exit(0)
