"""A phase that fits the head to stored features, on one process for all of them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list

from inarch.data.loaders import Examples
from inarch.errors import RunError, listing
from inarch.evaluation import Evaluated, evaluate
from inarch.features.extraction import extract
from inarch.interfaces.dataset import Stream
from inarch.interfaces.head import Head
from inarch.interfaces.strategy import Phase
from inarch.model import Model, collect
from inarch.training.fitting import Fitted, answers, fit_head
from inarch.training.job import Job, evaluation_batch_size
from inarch.training.state import RunState


def is_fitted(job: Job, phase: Phase, tell: bool = False) -> bool:
    """Say whether a phase fits the head to stored features; where it should and cannot, tell people why."""
    if not phase.views:
        return False
    why = obstacle(job, phase)
    if why and tell:
        sentence = f"phase {phase.name}: the head is trained by steps, not fitted to stored features, for {why}"
        job.progress.say(sentence)
        job.notes["train"].append(sentence)
    return why is None


def plan(job: Job, phases: Sequence[Phase]) -> tuple[int, int]:
    """Return how many epochs and how many steps a training has; a fit counts as one."""
    fitted = [is_fitted(job, phase) for phase in phases]
    taken = sum(phase.epochs for phase, fit in zip(phases, fitted, strict=True) if not fit)
    return taken + sum(fitted), taken * job.steps_per_epoch + sum(fitted)


class NoOptimizer:
    """What stands in a checkpoint where no optimizer took a step."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing to keep."""
        return {"state": {}, "param_groups": []}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back nothing."""


def obstacle(job: Job, phase: Phase) -> str | None:
    """Say why stored features do not hold what the head of a phase reads; None: they do."""
    head, backbone = job.model.head, job.model.backbone
    if len(phase.frozen) < len(phase.layer_rates):
        return "layers of the backbone are trained"
    if backbone.fresh:
        return f"{listing(sorted(backbone.fresh))} of the backbone train with the head"
    if job.lesson is not None:
        return "a teacher takes part in the loss"
    if isinstance(job.train.rows, Stream):
        return "train is a stream"
    if head.separate or job.train.partner is not None:
        return "the head reads examples in pairs"
    return None if field_of(head) else f"the head reads {listing(sorted(head.needs))}"


def field_of(head: Head) -> str | None:
    """Return which features of a row say all that a head reads: `pooled`, or the `mean` or `max` of its tokens."""
    if head.needs == {"pooled"}:
        return "pooled"
    pooling = getattr(head, "pooling", None)
    return pooling if head.needs == {"tokens"} and pooling in ("mean", "max") else None


def evaluate_split(job: Job, model: Model, examples: Examples, frozen: bool) -> Evaluated:
    """Run a model over a split; from stored features if its backbone is as it was loaded, and they hold what counts."""
    size, workers = evaluation_batch_size(job.recipe), job.workers(training=False)
    head, field = model.head, field_of(model.head)
    counts = examples.counts
    several = examples.readable or isinstance(examples.rows, Stream) or (counts is not None and (counts > 1).any())
    if not frozen or several or field is None:
        return evaluate(model, examples, size, job.accelerator, workers)
    found = extract(examples, model.backbone, job.accelerator, size, workers, 0, field)
    examples.notes.extend(note for note in found.notes if note not in examples.notes)
    raw, device = examples.rows.column(examples.dataset.target), job.accelerator.device
    targets = head.encode([raw[row] for row in found.rows])
    total, count, parts = answers(head, found.values, targets, device)
    outputs = collect(iter(parts), len(targets))
    return Evaluated(found.rows, outputs, None, targets, total / count if count else math.nan, found.skipped)


def fit_on_features(job: Job, phase: Phase, state: RunState) -> Fitted:
    """Fit the head, on every process the same; rows that cannot be read are noted in the state."""
    head, train = job.model.head, job.train
    field = field_of(head)
    assert field is not None
    views = []
    for view in range(phase.views):
        which = f", view {view + 1} of {phase.views}" if phase.views > 1 else ""
        job.progress.say(f"the backbone sees train once{which}, unless its features are stored")
        views.append(extract(train, job.model.backbone, job.accelerator, evaluation_batch_size(job.recipe),
                             job.workers(training=False), view, field))  # fmt: skip
        state.note_skipped(views[-1].skipped)
        job.notes["train"].extend(views[-1].notes)
    rows = sorted(set.intersection(*(set(view.rows) for view in views)))
    values = [view.values if view.rows == rows else view.values[np.searchsorted(view.rows, rows)] for view in views]
    raw, group = train.rows.column(train.dataset.target), train.dataset.group
    groups = None if group is None else train.rows.column(group)

    def solve() -> Fitted:
        targets = head.encode([raw[row] for row in rows])
        return fit_head(head, values, targets, groups and [groups[row] for row in rows], job.recipe.seed,
                        where=lambda index: str(train.rows.where(rows[index])))  # fmt: skip

    found = _on_main(job, head, solve)
    for sentence in _told(found.facts):
        job.progress.say(sentence)
    job.notes["train"].extend(found.facts.get("notes", ()))
    return found


def _told(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what people should know of a fit."""
    if "penalty" in facts:
        held = f"; {facts['folds']} folds held out chose it" if facts["cross_validation"] else ""
        yield f"the head is fitted, in {facts['iterations']} iterations, with penalty {facts['penalty']:g}{held}"
    yield from facts.get("notes", ())


def _on_main(job: Job, head: Head, solve: Callable[[], Fitted]) -> Fitted:
    """Fit on the main process, and give the head's state to the others; if it fails there, all stop."""
    if job.accelerator.num_processes == 1:
        return solve()
    given: list[Any] = [None, None]
    if job.accelerator.is_main_process:
        try:
            given = [solve(), {name: tensor.cpu() for name, tensor in head.state_dict().items()}]
        except RunError as error:
            given = [None, error]
    found: Fitted
    found, state = broadcast_object_list(given)
    if isinstance(state, RunError):
        raise state
    with torch.no_grad():
        head.load_state_dict(state)
    return found
