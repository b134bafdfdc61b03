"""One optimizer step: the exact gradient of the mean loss over a batch, however it is spread and cut."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from inarch.data.loaders import Item
from inarch.errors import RunError
from inarch.interfaces.strategy import Lesson
from inarch.model import Model, to_device, to_float
from inarch.training.optimization import Pull, micro_batches, scale_gradients

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def accumulate(
    forward: Callable[..., Tensor],
    model: Model,
    item: Item,
    micro_batch_size: int,
    accelerator: Accelerator,
    precision: str,
    scaler: Any,
    lesson: Lesson | None = None,
) -> Tensor:
    """Add the gradients of the summed loss over this process' part of a step.

    Returns (loss sum, count, tokens, tokens with padding), shape (4,), of this process.
    `forward` is the model as accelerate prepared it. With several processes its last backward pass averages gradients
    over them; the caller divides by the global count.
    """
    largest_share = math.ceil(item["size"] / accelerator.num_processes)
    parts = math.ceil(largest_share / micro_batch_size)
    moved = to_device(item, accelerator.device)
    slices = micro_batches(len(item["rows"]), micro_batch_size, parts)
    members = len(next(iter(moved["batch"].values()))) // len(item["rows"])  # an example's parts, or it and its partner
    exact = torch.float32 if accelerator.device.type == "mps" else torch.float64
    total = torch.zeros(4, dtype=exact, device=accelerator.device)
    if not item.get("idle"):
        total[2:] = torch.tensor(item["tokens"], dtype=exact)
    for number, (part, idle) in enumerate(slices):
        last = number == len(slices) - 1
        with nullcontext() if last else accelerator.no_sync(forward):
            with torch.autocast(accelerator.device.type, DTYPES.get(precision), enabled=precision in DTYPES):
                rows_of = slice(part.start * members, part.stop * members)
                outputs = to_float(forward({name: tensor[rows_of] for name, tensor in moved["batch"].items()}))
            loss, count = model.head.loss(outputs, moved["targets"][part])
            if lesson is not None:
                loss = lesson(item["rows"][part], outputs, moved["targets"][part], loss)
            counted = 0.0 if idle or item.get("idle") else 1.0
            accelerator.backward(scaler.scale(loss * counted))
        total[:2] += torch.stack([loss.detach().to(total), torch.as_tensor(count).to(total)]) * counted
    return total


def optimize(
    model: Model,
    optimizer: Any,
    total: Tensor,
    accelerator: Accelerator,
    clip: float | None,
    scaler: Any,
    pull: Pull | None = None,
) -> Tensor:
    """Divide the accumulated gradients by the global count, add the pull, clip, and step; return the global totals."""
    if accelerator.num_processes > 1:
        total = accelerator.reduce(total, reduction="sum")
    raw = getattr(optimizer, "optimizer", optimizer)
    scaler.unscale_(raw)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    scale_gradients(parameters, accelerator.num_processes / total[1].clamp_min(1e-12), clip, pull)
    scaler.step(raw)
    scaler.update()
    raw.zero_grad(set_to_none=True)
    return total


class Retry:
    """What a step changes before it can run out of memory: batch-norm statistics and random states."""

    def __init__(self, model: Model) -> None:
        self.buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self.saved = [buffer.clone() for buffer in self.buffers]

    def remember(self) -> None:
        """Copy buffers and random states, without waiting for the device."""
        if self.buffers:
            torch._foreach_copy_(self.saved, self.buffers)
        self.random = torch.get_rng_state()

    def undo(self, optimizer: Any) -> None:
        """Put everything back as it was before the step."""
        if self.buffers:
            torch._foreach_copy_(self.buffers, self.saved)
        torch.set_rng_state(self.random)
        optimizer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def smaller(micro_batch_size: int, automatic: bool, processes: int) -> int:
    """Return half the micro-batch after running out of memory, or raise RunError saying what to write."""
    half = micro_batch_size // 2
    if not half:
        raise RunError(
            "out of memory with a single example; choose a smaller backbone or input, or gradient_checkpointing: true"
        )
    if not automatic or processes > 1:
        raise RunError(
            f"out of memory with micro_batch_size {micro_batch_size}; write train.micro_batch_size={half} and --resume"
        )
    return half
