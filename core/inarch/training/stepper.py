"""A phase's optimizer steps: out of memory, losses that are not finite, and signals, alike on all processes."""

import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inarch import interruption
from inarch.checkpoint import write_atomically
from inarch.data.loaders import Item
from inarch.errors import OutOfMemory, RunError
from inarch.interfaces.dataset import Stream
from inarch.interfaces.strategy import Phase
from inarch.training import capsule, sharding
from inarch.training.generators import Generators
from inarch.training.job import MICRO_BATCH, Job
from inarch.training.optimization import Pull
from inarch.training.state import RunState
from inarch.training.step import Later, Retry, accumulate, is_finite, optimize, smaller

MOST_LEFT_OUT = 10
"""Steps in a row without a finite gradient after which `skip` gives up: waiting longer would not help."""

_ASKED: dict[int | None, float] = {signal.SIGTERM: 1e6, signal.SIGINT: 1.0, None: 0.0}
"""What a process that was asked to end adds to a sum over all of them: many of the one do not make the other."""


class _Taken(NamedTuple):
    """A step whose numbers have not been read yet: what a capsule of it holds."""

    state: RunState
    item: Item
    generators: Generators
    scale: float


class Stepper:
    """Takes the steps of a phase; what it needs to take one again, or to tell of one, it remembers."""

    def __init__(self, job: Job, phase: Phase, state: RunState, optimizer: Any, forward: Any, scaler: Any,
                 pull: Pull | None) -> None:  # fmt: skip
        self.job, self.phase, self.state = job, phase, state
        self.optimizer, self.forward, self.scaler, self.pull = optimizer, forward, scaler, pull
        device = job.accelerator.device
        self.retry = Retry(job.model, device)
        fused = optimizer.param_groups[0]["fused"]  # only then can the device itself leave a step out
        waits = device.type != "cuda" or job.recipe.train.non_finite == "skip" or not fused
        self.later = None if waits else Later()
        self.halted = None if waits else torch.zeros((), dtype=torch.bool, device=device)
        self.unread: list[_Taken] = []
        self.agreed: int | None = None
        """The signal by which, at the last step that was read, any process had been asked to end."""

    def step(self, item: Item) -> Tensor:
        """Take a step; return the global (loss sum, count, tokens, tokens with padding), shape (4,), on the device."""
        job = self.job
        item = self._never_empty(item)
        if not job.model.training:  # evaluation takes it out of its wrapper, which does not notice
            self.forward.train()
        total = self._accumulate(item)
        self.unread.append(_Taken(replace(self.state), item, self.retry.generators, self.scaler.get_scale()))
        total[4] = _ASKED[interruption.asked()]
        found = optimize(job.model, self.optimizer, total, job.accelerator, job.recipe.train.clip, self.scaler,
                         self.pull, self.halted)  # fmt: skip
        numbers = self.later.read(found) if self.later else found.cpu()
        return found[:4] if numbers is None or self._read(numbers) else torch.zeros_like(found[:4])

    def settle(self) -> None:
        """Read what has not been read yet, before anything is made of the weights."""
        if self.later and (numbers := self.later.rest()) is not None:
            self._read(numbers)

    def _read(self, numbers: Tensor) -> bool:
        """Look at a step's numbers; say whether they are finite, or end the training."""
        taken = self.unread.pop(0)
        asked = float(numbers[4])
        self.agreed = next((number for number, told in _ASKED.items() if number and asked >= told), None)
        if is_finite(numbers, self.scaler):
            return True
        loss_sum, count, *_, norm = numbers.tolist()
        found = {"loss_sum": loss_sum, "count": count, "gradient_norm": norm}
        number, state = taken.state.step + 1, self.state
        loss = loss_sum / max(count, 1e-12)
        told = f"step {number} of the training has a loss of {loss:g} and a gradient of norm {norm:g}"
        stops = self.job.recipe.train.non_finite == "stop"
        self.retry.undo_buffers()
        if not stops:
            state.left_out.append(number)
        where = self._write_capsule(taken, found)
        if stops:
            raise RunError(
                f"{told}; no weight was changed by it. {where}Lower train.learning_rate, try train.precision=fp32, or "
                "leave such steps out with train.non_finite=skip. The checkpoints are from before"
            )
        self.job.progress.say(f"{told}: it is left out. {where}".strip())
        if state.left_out[-MOST_LEFT_OUT:] == list(range(number - MOST_LEFT_OUT + 1, number + 1)):
            raise RunError(f"{MOST_LEFT_OUT} steps in a row had no finite gradient, the last of them step {number}")
        return False

    def _write_capsule(self, taken: _Taken, found: Mapping[str, float]) -> str:
        """Write the step's capsule, if there are not many yet; return a sentence that says what to do with it."""
        facts = {**found, "scale": taken.scale, "random": taken.generators.plain()}
        with sharding.seen(self.job, self.job.model) as model:
            path = capsule.write(replace(self.job, model=model), self.phase, taken.state, taken.item, facts)
        return f"Look at it with: inarch replay {path}. " if path else ""

    def _never_empty(self, item: Item) -> Item:
        """A process without examples of its own takes part in the step with one that does not count."""
        if item["rows"]:
            return item
        if isinstance(self.job.train.rows, Stream):
            raise RunError(
                "a process got no readable example of the stream in a step; use fewer processes or a larger batch_size"
            )
        for row in range(len(self.job.train.rows)):
            stand_in = self.job.train[(0, [row], item["size"])]
            if stand_in.get("rows"):
                return {**stand_in, "size": item["size"], "idle": True}
        raise RunError("no example of train can be read")

    def _accumulate(self, item: Item) -> Tensor:
        """Add up this step's gradients, in smaller pieces if the device runs out of memory."""
        job, state = self.job, self.state
        automatic = job.recipe.train.micro_batch_size == "auto"
        while True:
            size = state.micro_batch_size
            self.retry.remember()
            try:
                return accumulate(
                    self.forward, job.model, item, size, job.accelerator, job.precision, self.scaler, job.lesson
                )
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise RunError(
                    f"a batch norm got one example alone, of which it can make no statistics: of {item['size']} "
                    f"examples in the step a device holds {len(item['rows'])}, {size} at a time. Choose another "
                    "batch_size or micro_batch_size, or fewer processes, so that no part of a step is a single example"
                ) from error
            except torch.OutOfMemoryError:
                held = min(size, len(item["rows"]))
                state.micro_batch_size = smaller(held, automatic)
                told = f"out of memory: going on with micro-batches of {state.micro_batch_size}"
                if job.accelerator.num_processes > 1:  # the others wait in the middle of this step
                    write_atomically(job.directory / MICRO_BATCH, str(state.micro_batch_size))
                    raise OutOfMemory(f"{told} after --resume; the recipe's meaning is unchanged") from None
                job.progress.say(f"{told}; the recipe's meaning is unchanged")
            self.retry.undo(self.optimizer)
