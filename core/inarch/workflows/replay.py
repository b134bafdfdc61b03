"""Replay: take a step again whose loss or gradient was not finite, from its capsule alone, and look for the cause."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from inarch.errors import InarchError, RunError
from inarch.training import capsule
from inarch.training.capsule import Capsule
from inarch.workflows.causes import Causes, look
from inarch.workflows.repeat import Figures, Step


@dataclass(frozen=True)
class Replayed:
    """What a step came to, then and now, and what may be the cause."""

    directory: Path
    run: str
    step: int
    phase: str
    precision: str
    processes: int
    examples: int
    micro_batch_size: int
    then: Figures
    now: Figures
    reproduced: bool
    """Whether loss and gradient norm are what they were, bit for bit; of more than two processes within rounding."""
    notes: list[str]
    """What of the step cannot be, or was not, as it was."""
    causes: Causes


def replay(path: Path | str) -> Replayed:
    """Take the step of a capsule again, or of the newest one of a run; the same as ``inarch replay``.

    Raises RunError if there is none, if it is damaged, and if what its model is built from is not installed.
    """
    kept = capsule.read(capsule.find(Path(path)))
    facts = kept.facts
    then = Figures(facts.loss, float(facts.gradient_norm), False)
    try:
        with _threads(facts.threads):
            step = Step(kept)
            now = step.take(kept.items)
            causes = look(step, kept, now)
    except InarchError:
        raise
    except Exception as error:  # what is in a capsule can make a component raise anything
        told = f"{type(error).__name__}: {error}"
        raise RunError(f"{kept.directory}: the step cannot be taken again: {told}") from error
    several = len(facts.processes) > 2
    close = [_same(then.loss, now.loss, several), _same(then.gradient_norm, now.gradient_norm, several)]
    return Replayed(
        kept.directory, facts.run, facts.step, facts.phase, facts.precision, len(facts.processes),
        sum(len(share.rows) for share in facts.processes if not share.idle), facts.micro_batch_size,
        then, now, all(close), _notes(step, kept), causes,
    )  # fmt: skip


def _same(one: float, other: float, rounded: bool) -> bool:
    """Say whether two figures are equal, NaN like NaN; `rounded`: but for the order of a sum."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=1e-6 if rounded else 0.0)


def _notes(step: Step, kept: Capsule) -> list[str]:
    facts, device = kept.facts, step.accelerator.device.type
    notes = [f"Not repeated: {what}" for what in facts.lacks]
    if device != facts.device:
        notes.append(f"The step was taken on {facts.device}, and again on {device}: other bits, another dropout")
    if torch.__version__ != facts.torch:
        notes.append(f"The step was taken by torch {facts.torch}, and again by {torch.__version__}")
    norms = [module for module in step.model.modules() if isinstance(module, _BatchNorm) and module.training]
    if len(facts.processes) > 1:
        notes.append(f"The parts of {len(facts.processes)} processes were taken one after the other")
    if len(facts.processes) > 1 and norms:
        notes.append("Not repeated: batch norms that share their statistics between processes")
    return notes


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with as many threads as the step did: bits depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
