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
from inarch.training.generators import Generators
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

    Returns (loss sum, count, tokens, tokens with padding, 0), shape (5,), of this process; the caller may note in the
    last that it was asked to end.
    `forward` is the model as accelerate prepared it. With several processes its last backward pass averages gradients
    over them; the caller divides by the global count.
    """
    largest_share = math.ceil(item["size"] / accelerator.num_processes)
    parts = math.ceil(largest_share / micro_batch_size)
    moved = to_device(item, accelerator.device)
    slices = micro_batches(len(item["rows"]), micro_batch_size, parts)
    members = len(next(iter(moved["batch"].values()))) // len(item["rows"])  # an example's parts, or it and its partner
    exact = torch.float32 if accelerator.device.type == "mps" else torch.float64
    total = torch.zeros(5, dtype=exact, device=accelerator.device)
    if not item.get("idle"):
        total[2:4] = torch.tensor(item["tokens"], dtype=exact)
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
    halted: Tensor | None = None,
) -> Tensor:
    """Divide the accumulated gradients by the global count, add the pull, clip, and step if all is finite.

    halted: a flag on the device, raised by the first step that is not finite: from then on no step changes a weight,
    and nothing waits for the device. Without it a number is waited for, which on a CPU is no wait.
    Returns the global totals and the gradient's norm before clipping, shape (6,).
    """
    if accelerator.num_processes > 1:
        total = accelerator.reduce(total, reduction="sum")
    raw = getattr(optimizer, "optimizer", optimizer)
    scaler.unscale_(raw)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    norm = scale_gradients(parameters, accelerator.num_processes / total[1].clamp_min(1e-12), clip, pull)
    found = torch.cat([total, norm.to(total)[None]])
    finite = is_finite(found, scaler)
    if halted is not None:
        halted.logical_or_(~finite)
        if not scaler.is_enabled():
            raw.grad_scale, raw.found_inf = None, halted.float()
    if halted is not None or finite:
        scaler.step(raw)
    scaler.update()
    raw.zero_grad(set_to_none=True)
    return found


def is_finite(found: Tensor, scaler: Any) -> Tensor:
    """Say whether a step's loss and gradient are finite, as a scalar on the device.

    In fp16 the gradient may overflow, for then the scaler leaves out the step and takes a smaller scale.
    """
    loss, gradient = torch.isfinite(found[0]), torch.isfinite(found[-1])
    return loss if scaler.is_enabled() else loss & gradient


class Later:
    """Numbers of a GPU, read when the next step has begun, so that nothing waits for them."""

    def __init__(self) -> None:
        self.before: tuple[Tensor, Any] | None = None

    def read(self, numbers: Tensor) -> Tensor | None:
        """Return the numbers that were given before these, on the CPU; None: there were none."""
        here = torch.empty_like(numbers, device="cpu", pin_memory=True).copy_(numbers, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        before = self.rest()
        self.before = (here, done)
        return before

    def rest(self) -> Tensor | None:
        """Return the numbers that were given last and not read, if there are any."""
        before, self.before = self.before, None
        if before is not None:
            before[1].synchronize()
        return before and before[0]


class Retry:
    """What a step changes before its gradient is known: batch-norm statistics and random states."""

    def __init__(self, model: Model, device: torch.device) -> None:
        self.buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self.saved = [buffer.clone() for buffer in self.buffers]
        self.device = device

    def remember(self) -> None:
        """Copy buffers and random states, without waiting for the device."""
        if self.buffers:
            torch._foreach_copy_(self.saved, self.buffers)
        self.generators = Generators.now(self.device)

    def undo(self, optimizer: Any) -> None:
        """Put everything back as it was before the step."""
        self.undo_buffers()
        self.generators.put_back(self.device)
        optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def undo_buffers(self) -> None:
        """Put the buffers back."""
        if self.buffers:
            torch._foreach_copy_(self.buffers, self.saved)


def smaller(micro_batch_size: int, automatic: bool) -> int:
    """Return half the micro-batch after running out of memory, or raise RunError saying what to write."""
    half = micro_batch_size // 2
    if not half:
        raise RunError(
            "out of memory with a single example; choose a smaller backbone or input, or gradient_checkpointing: true"
        )
    if not automatic:
        raise RunError(
            f"out of memory with micro_batch_size {micro_batch_size}; write train.micro_batch_size={half} and --resume"
        )
    return half
