"""What a training is given: everything about it that does not change while it runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from inarch.data.loaders import Examples, worker_count
from inarch.data.order import steps_per_epoch
from inarch.interfaces.strategy import Lesson
from inarch.model import Model
from inarch.recipe import Recipe
from inarch.training.progress import Progress
from inarch.training.sharding import Shards

MICRO_BATCH = "micro_batch_size"


@dataclass(frozen=True)
class Job:
    """The parts of a training."""

    recipe: Recipe
    directory: Path
    model: Model
    accelerator: Accelerator
    precision: str
    train: Examples
    valid: Examples | None
    metrics: Mapping[str, Any]
    """Name to torchmetrics metric."""
    larger_is_better: Mapping[str, bool]
    progress: Progress
    on_epoch_end: Callable[[int, Mapping[str, float]], None]
    """The lifecycle hook."""
    keeps: int = 0
    """How many checkpoints of a phase, the best on valid, are kept for weights made of several; 0: none are made."""
    lesson: Lesson | None = None
    """What changes the loss of a step (`Strategy.lesson`)."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else stands in the results."""
    parts: Mapping[str, Any] = field(default_factory=dict)
    """What the model can be built from again (`parts.describe`); with the strategy if it inserted something."""
    resolved: Recipe | None = None
    """The recipe with every default written out."""
    shards: Shards | None = None
    """Where a phase's weights go when they are looked at, if `model` holds them in shards (`sharding.twin`)."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over train."""
        return steps_per_epoch(len(self.train.rows), self.recipe.train.batch_size)

    @property
    def notes(self) -> dict[str, list[str]]:
        """What people should know of the inputs of train and valid."""
        return {name: getattr(self, name).notes for name in ("train", "valid") if getattr(self, name) is not None}

    def workers(self, training: bool) -> int:
        """Return how many processes load data, for training or for an evaluation."""
        return worker_count(self.recipe.train.workers, self.accelerator.device.type != "cpu", training)

    def micro_batch(self, before: int = 0) -> int:
        """Return how many examples a device holds at once, until it runs out of memory.

        before: how many it did when the run was interrupted; a process that ran out of memory may have left a smaller
        number in the run directory, for then all of them must begin again.
        """
        wanted = self.recipe.train.micro_batch_size
        largest: int = -(-self.recipe.train.batch_size // self.accelerator.num_processes)
        if wanted != "auto":
            return min(wanted, largest)
        left = self.directory / MICRO_BATCH
        known = [before, int(left.read_text()) if left.exists() else 0]
        return min([largest, *(size for size in known if size)])


def evaluation_batch_size(recipe: Recipe) -> int:
    """Return how many examples are evaluated at once.

    It is the same for any number of processes, for outputs depend on it in their last bits.
    """
    return min(64, recipe.train.batch_size)
