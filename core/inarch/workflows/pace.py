"""How long an epoch will take, by a few steps that are timed."""

import time
from collections.abc import Mapping

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from inarch.data.loaders import Examples
from inarch.data.order import Indices, share, steps_per_epoch
from inarch.interfaces.dataset import Stream
from inarch.model import Model
from inarch.training.step import accumulate
from inarch.workflows.check import Checked

STEPS = 2  # after one that warms up
FORWARD_SHARE = 1 / 3  # of a step: the backward pass takes twice as long as the forward


def seconds_per_epoch(
    model: Model, checked: Checked, examples: Mapping[str, Examples], accelerator: Accelerator, precision: str
) -> float:
    """Return the seconds of an epoch in which all layers are trained, and of an evaluation after it.

    0, which fits any budget, where it cannot be had: for a stream, or if a batch at once is more than memory holds. The
    model's gradients, and its statistics of batches, are not what they were.
    """
    rows = examples["train"].rows
    if isinstance(rows, Stream):
        return 0.0
    size = min(checked.recipe.train.batch_size, len(rows))
    mine = share(list(range(size)), accelerator.num_processes, accelerator.process_index) or [0]
    steps = steps_per_epoch(len(rows), checked.recipe.train.batch_size)
    model.to(accelerator.device).train()
    model.freeze(())
    try:
        took = min(_step(model, examples["train"], mine, accelerator, precision) for _ in range(1 + STEPS))
    except torch.OutOfMemoryError:
        return 0.0
    finally:
        model.zero_grad(set_to_none=True)
    evaluated = len(examples["valid"].rows) / size * FORWARD_SHARE
    [found] = broadcast_object_list([took * (steps + evaluated)])
    return float(found)


def _step(model: Model, examples: Examples, rows: Indices, accelerator: Accelerator, precision: str) -> float:
    """Return the seconds of reading a batch, and of its loss and gradients."""
    started = time.monotonic()
    item = examples[(0, rows, len(rows))]
    if item["rows"]:
        scaler = torch.GradScaler(accelerator.device.type, enabled=False)
        accumulate(model, model, item, len(rows), accelerator, precision, scaler).tolist()  # which waits for the device
    return time.monotonic() - started
