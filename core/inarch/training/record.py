"""What is written down along the way: the figures of an evaluation, and whether they are the best so far."""

import json
import math
from collections.abc import Mapping
from typing import Any

from inarch.checkpoint import write_atomically
from inarch.intervals import compute
from inarch.model import Model
from inarch.training.job import Job
from inarch.training.probe import evaluate_split
from inarch.training.state import RunState
from inarch.training.waiting import waiting_for


def validate(job: Job, model: Model, state: RunState, frozen: bool = False) -> dict[str, float]:
    """Return the loss and every metric on valid; rows that cannot be read are noted in the state.

    frozen: the backbone is as it was loaded, so that its features may be stored.
    """
    assert job.valid is not None
    job.progress.evaluating("valid")
    with waiting_for("evaluating valid after step {}", state.step):
        seen = evaluate_split(job, model, job.valid, frozen)
    state.note_skipped(seen.skipped)
    compared = seen.compared(model)
    figures = {name: compute(metric, compared, seen.targets) for name, metric in job.metrics.items()}
    return {"loss": seen.loss, **figures}


def judge(job: Job, state: RunState, values: Mapping[str, float]) -> bool:
    """Say whether an evaluation is the best so far; note the best of the phase, and how long early stopping waits."""
    train = job.recipe.train
    _note(job, state, values[train.best_metric])
    stopping = train.early_stopping
    if stopping:
        if _better(job, stopping.metric, values[stopping.metric], state.patience_best):
            state.patience_best, state.bad_evaluations = values[stopping.metric], 0
        else:
            state.bad_evaluations += 1
        state.stopped_early = state.bad_evaluations >= stopping.patience
    if not _better(job, train.best_metric, values[train.best_metric], state.best):
        return False
    state.best, state.best_step = values[train.best_metric], state.step
    return True


def _note(job: Job, state: RunState, value: float) -> None:
    """Keep the best evaluations of the phase, best first; of equal ones the earlier."""
    if job.keeps and not math.isnan(value):
        best_first = -1 if job.larger_is_better.get(job.recipe.train.best_metric, False) else 1
        state.kept = sorted([*state.kept, (value, state.step)], key=lambda kept: best_first * kept[0])[: job.keeps]


def publish(job: Job, state: RunState, line: Mapping[str, Any], improved: bool) -> None:
    """Write metrics.jsonl, and tell the progress display and the tracker; on the main process."""
    text = "".join(json.dumps(entry) + "\n" for entry in state.history)
    write_atomically(job.directory / "metrics.jsonl", text)
    job.progress.epoch(line, improved)
    job.accelerator.log(figures(line), step=state.step)


def figures(line: Mapping[str, Any]) -> dict[str, float]:
    """Return what a tracker is told of a line of metrics.jsonl, by names such as valid/accuracy."""
    return {f"{split}/{name}": value for split in ("train", "valid") for name, value in line.get(split, {}).items()}


def _better(job: Job, name: str, value: float, best: float | None) -> bool:
    if math.isnan(value):  # a metric that is not defined on these examples is never the best
        return False
    return best is None or (value > best if job.larger_is_better.get(name, False) else value < best)
