"""Train: from a recipe to a measured bundle in a run directory."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list, set_seed

from inarch import checkpoint, interruption, plugins, recipe
from inarch.data.loaders import Examples, seeded
from inarch.interfaces.run import Run
from inarch.interfaces.strategy import Phase
from inarch.recipe import Recipe
from inarch.training.engine import refuse_other_precision
from inarch.training.hardware import choose_precision, prepare_model, prepare_process
from inarch.training.job import Job
from inarch.training.loop import fit
from inarch.training.norms import share_norms
from inarch.training.progress import Progress
from inarch.training.waiting import waiting_for
from inarch.workflows import directory as directories
from inarch.workflows import teaching
from inarch.workflows.check import Checked, check, summary
from inarch.workflows.environment import describe, describe_source
from inarch.workflows.finish import Result as Result
from inarch.workflows.finish import finish
from inarch.workflows.ladder import climb
from inarch.workflows.other_runs import bundles_of_runs
from inarch.workflows.start import (
    build_model,
    build_strategy,
    differences,
    make_examples,
    make_job,
    on_main_first,
    phases,
    resolve,
    speed_up,
    start_processes,
    with_tracker,
)


def train(
    source: Path | str | Recipe,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    out: Path | str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Train a recipe; the same as ``inarch train``.

    source: a recipe's file, or a Recipe. overrides: ``{"train.epochs": 3}``. out: the run directory; default runs/NAME.
    resume: continue the run in that directory from its last good checkpoint.
    """
    parsed = source if isinstance(source, Recipe) else recipe.load(source, overrides)
    return train_checked(check(parsed), Path(out) if out else None, resume, progress or Progress())


def train_checked(checked: Checked, out: Path | None, resume: bool, progress: Progress) -> Result:
    """Train a recipe that has been checked; if its strategy is a ladder, several.

    SIGTERM and SIGINT end it with Interrupted (a KeyboardInterrupt), after a checkpoint if there is something to keep.
    """
    ladder = build_strategy(checked).ladder(checked.recipe.train)
    with interruption.heeded():
        if ladder:
            result = climb(checked, ladder, out, resume, progress, _train)
        else:
            result = _train(checked, out, resume, progress)
    PartialState().destroy_process_group()
    return result


def _train(checked: Checked, out: Path | None, resume: bool, progress: Progress) -> Result:
    """Train once; the processes stay together, and the directory is theirs."""
    started = time.monotonic()
    accelerator = start_processes()
    progress = progress if accelerator.is_main_process else Progress()
    directory = broadcast_object_list([directories.choose(out, checked.recipe.name, resume)])[0]
    with ExitStack() as held, waiting_for("training in {}", directory):
        on_main_first(accelerator, lambda: held.enter_context(directories.locked(directory, progress.say)))
        job, planned, measured, tell = _prepare(checked, directory, resume, accelerator, progress)
        tell("on_train_begin")
        state = fit(job, planned, _resume_point(directory, resume, accelerator, progress))
        with waiting_for("measuring {} and writing the bundle", measured[0]):
            result = finish(job, checked, state, started, measured)
        for tracker in job.accelerator.trackers:
            tracker.finish()
        tell("on_train_end", metrics={name: estimate.value for name, estimate in result.metrics.items()})
        return result


def _prepare(
    checked: Checked, directory: Path, resume: bool, accelerator: Accelerator, progress: Progress
) -> tuple[Job, list[Phase], tuple[str, Examples], "_Hooks"]:
    """Build what is trained, open the directory, and write down on what it is trained.

    Returns the job, its phases, the split with its examples that the result is measured on, and the lifecycle hooks.
    """
    parsed, strategy = checked.recipe, build_strategy(checked)
    levers = prepare_process(accelerator.device)
    teacher = teaching.open_teacher(strategy)
    set_seed(parsed.seed)
    with waiting_for("building the model"):
        model = build_model(checked)
    names = [name for name in ("train", "valid", "test") if name in checked.dataset.splits]
    examples = {name: make_examples(checked, name, model) for name in names}
    planned = phases(checked, model)
    levers += share_norms(model, planned, parsed.train, accelerator, examples["train"])
    bundles_of_runs(checked, model, strategy)  # what cannot be averaged is told before an hour's training
    resolved = resolve(checked, model)
    lesson = teaching.make_lesson(strategy, teacher, checked, model, accelerator) if teacher else None
    facts = {"teacher": teaching.describe(teacher)} if teacher else {}
    set_seed(parsed.seed, device_specific=True)  # processes must not share their dropout
    on_main_first(accelerator, lambda: directories.open_for(directory, resolved, resume, checked.fingerprints()))
    teaching.refuse_another(directory, facts | describe_source(checked, model))
    notes = [f"{name}: {note}" for name in examples for note in examples[name].notes]
    for line in [*summary(checked), *differences(checked, model), *notes]:
        progress.say(line)
    accelerator = with_tracker(directory, parsed.train.tracker)
    precision = choose_precision(accelerator.device, parsed.train.precision)
    refuse_other_precision(precision)
    levers += prepare_model(model, accelerator.device, precision)
    model.to(accelerator.device)
    speed_up(model, parsed)
    environment = describe(checked, model, accelerator, precision, levers) | facts
    if accelerator.is_main_process:
        checkpoint.write_atomically(directory / "environment.json", json.dumps(environment, indent=1, default=str))
    tell = _Hooks(Run(directory, resolved, checked.targets.classes, environment), accelerator.is_main_process)
    job = make_job(checked, directory, model, examples, accelerator, precision, progress)
    job = replace(job, on_epoch_end=lambda epoch, metrics: tell("on_epoch_end", epoch=epoch, metrics=metrics),
                  lesson=lesson, facts=facts)  # fmt: skip
    return job, planned, (names[-1], examples[names[-1]]), tell


class _Hooks:
    """The lifecycle hooks of a run, on the main process. They observe: what they draw at random is put back."""

    def __init__(self, run: Run, main: bool) -> None:
        self.run, self.main = run, main

    def __call__(self, hook: str, **facts: Any) -> None:
        if self.main:
            with seeded(self.run.recipe.seed):
                plugins.loaded().call(hook, run=self.run, **facts)


def _resume_point(directory: Path, resume: bool, accelerator: Accelerator, progress: Progress) -> Path | None:
    """Return the checkpoint to resume from, which the main process chooses for all."""
    found: Path | None = None
    if resume and accelerator.is_main_process:
        found, passed_over = checkpoint.newest_good(directory / "checkpoints")
        for sentence in passed_over:
            progress.say(sentence)
        progress.say(f"resuming from {found}" if found else "no checkpoint to resume from: starting at the beginning")
    chosen: Path | None = broadcast_object_list([found])[0]
    return chosen
