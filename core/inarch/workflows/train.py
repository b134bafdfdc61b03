"""Train: from a recipe to a measured bundle in a run directory."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from inarch import bundle, checkpoint, intervals, plugins, recipe, report
from inarch.data.loaders import Examples
from inarch.errors import RunError
from inarch.evaluation import build_metrics, evaluate, predictions, write_predictions
from inarch.interfaces.backbone import Backbone
from inarch.interfaces.head import Head
from inarch.interfaces.run import Run
from inarch.interfaces.strategy import Strategy
from inarch.intervals import Estimate
from inarch.model import Model, count_parameters
from inarch.recipe import Component, Recipe
from inarch.training.hardware import choose_precision, prepare_model, prepare_process
from inarch.training.loop import Job, evaluation_batch_size, fit, load_best
from inarch.training.progress import Progress
from inarch.training.state import RunState
from inarch.workflows import directory as directories
from inarch.workflows.check import Checked, check, refuse_many, summary
from inarch.workflows.environment import describe

PARITY_EXAMPLES = 16


@dataclass(frozen=True)
class Result:
    """What a training gives back."""

    directory: Path
    split: str
    """The split that `metrics` were measured on: `test`, or `valid` where there is no test split."""
    metrics: Mapping[str, Estimate]
    """Name to value and 95 % interval."""
    best_step: int
    """The optimizer step whose weights are in the bundle."""
    parity: float
    """Largest difference between the outputs of the training path and of the bundle on raw inputs."""
    seconds: float


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
    started = time.monotonic()
    parsed = source if isinstance(source, Recipe) else recipe.load(source, overrides)
    checked = check(parsed)
    progress = progress or Progress()
    accelerator = start_accelerator(parsed)
    quiet = progress if accelerator.is_main_process else Progress()
    levers = prepare_process(accelerator.device)
    torch.manual_seed(parsed.seed)
    model, resolved = _build_model(checked)
    chosen = broadcast_object_list([directories.choose(Path(out) if out else None, parsed.name, resume)])[0]
    _on_main_first(accelerator, lambda: directories.open_for(chosen, resolved, resume))
    for line in summary(checked):
        quiet.say(line)
    precision = choose_precision(accelerator.device, parsed.train.precision)
    levers += prepare_model(model, accelerator.device, precision)
    model.to(accelerator.device)
    if parsed.train.gradient_checkpointing:
        model.backbone.gradient_checkpointing()
    if parsed.train.compile:
        model.compile()
    job = _make_job(checked, chosen, model, accelerator, precision, quiet)
    environment = describe(checked, model, accelerator, precision, levers)
    run = Run(chosen, resolved, checked.targets.classes, environment)
    if accelerator.is_main_process:
        checkpoint.write_atomically(chosen / "environment.json", json.dumps(environment, indent=1, default=str))
        plugins.loaded().call("on_train_begin", run=run)
    job = replace(job, on_epoch_end=lambda epoch, metrics: plugins.loaded().call("on_epoch_end", run=run, epoch=epoch, metrics=metrics))
    accelerator.init_trackers("tensorboard")
    state = fit(job, _phases(checked, model), _resume_point(chosen, resume, quiet))
    result = _finish(job, checked, state, started)
    accelerator.end_training()
    if accelerator.is_main_process:
        plugins.loaded().call("on_train_end", run=run, metrics={name: e.value for name, e in result.metrics.items()})
    return result


def start_accelerator(parsed: Recipe) -> Accelerator:
    """Start accelerate, and refuse to run with fewer processes than were asked for."""
    on_cpu = not torch.cuda.is_available()
    tracker = None if parsed.train.tracker == "none" else parsed.train.tracker
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="no", log_with=tracker, project_dir="runs")
    wanted = int(os.environ.get("INARCH_PROCESSES", "0"))
    launched_plain = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ
    if (wanted and accelerator.num_processes != wanted) or launched_plain:
        raise RunError(
            f"the launcher was asked for {wanted or 'several'} processes and started {accelerator.num_processes}; "
            "use inarch train RECIPE --processes N, or accelerate launch --multi_gpu --num_processes N (also without a GPU)"
        )
    return accelerator


def build_parts(checked: Checked) -> tuple[Backbone, Head]:
    """Build backbone and head, with random weights."""
    backbone: Backbone = plugins.build(*checked.one("backbone"))
    head: Head = plugins.build(*checked.one("head"), checked.targets, backbone.num_features)
    return backbone, head


def make_examples(checked: Checked, split: str, model: Model) -> Examples | None:
    """Make a split ready to be read, if the data has it."""
    if split not in checked.dataset.splits:
        return None
    skip = checked.recipe.on_error == "skip"
    return Examples(checked.dataset, split, model.backbone, model.head, checked.recipe.seed, skip)


def _build_model(checked: Checked) -> tuple[Model, Recipe]:
    """Build the model, load its weights, and write every default into the recipe."""
    backbone, head = build_parts(checked)
    model = Model(backbone, head)
    strategy: Strategy = plugins.build(*checked.one("strategy"))
    if not strategy.random_weights:
        backbone.load_weights()
    resolved = {key: [Component(e.name, options) for e, options in found] for key, found in checked.components.items()}
    resolved["backbone"] = [Component(checked.one("backbone")[0].name, dict(backbone.resolved))]
    single = {key: resolved[key][0] for key in ("dataset", "backbone", "head", "strategy")}
    return model, replace(checked.recipe, **single, metrics=tuple(resolved["metrics"]))


def _phases(checked: Checked, model: Model) -> list[Any]:
    strategy: Strategy = plugins.build(*checked.one("strategy"))
    return strategy.phases(model.backbone.layers(), checked.recipe.train)


def _make_job(checked: Checked, directory: Path, model: Model, accelerator: Accelerator, precision: str, progress: Progress) -> Job:
    train_examples = make_examples(checked, "train", model)
    assert train_examples is not None
    return Job(
        recipe=checked.recipe,
        directory=directory,
        model=model,
        accelerator=accelerator,
        precision=precision,
        train=train_examples,
        valid=make_examples(checked, "valid", model),
        metrics=build_metrics(checked.components["metrics"], checked.targets),
        larger_is_better={entry.name: entry.facts["larger_is_better"] for entry, _ in checked.components["metrics"]},
        progress=progress,
        on_epoch_end=lambda epoch, metrics: None,
    )


def _resume_point(directory: Path, resume: bool, progress: Progress) -> Path | None:
    if not resume:
        return None
    found, passed_over = checkpoint.newest_good(directory / "checkpoints")
    for sentence in passed_over:
        progress.say(sentence)
    progress.say(f"resuming from {found}" if found else "no checkpoint to resume from: starting at the beginning")
    return found


def _finish(job: Job, checked: Checked, state: RunState, started: float) -> Result:
    """Measure the best weights on test, and write bundle, predictions and report."""
    best_step = load_best(job, state)
    refuse_many(state.skipped, job.recipe.train.epochs * len(job.train.rows), job.recipe)
    split = "test" if "test" in checked.dataset.splits else "valid" if "valid" in checked.dataset.splits else "train"
    examples = make_examples(checked, split, job.model)
    assert examples is not None
    job.progress.evaluating(split)
    seen = evaluate(job.model, examples, evaluation_batch_size(job.recipe), job.accelerator, job.workers)
    estimates: dict[str, Estimate] = {}
    parity = 0.0
    if job.accelerator.is_main_process:
        estimates = measure(job.model, seen, examples, job.metrics)
        write_predictions(job.directory / "predictions" / f"{split}.jsonl", predictions(job.model, seen, examples))
        parity = _write_bundle(job, checked, seen, examples)
    result = Result(job.directory, split, estimates, best_step, parity, time.monotonic() - started)
    if job.accelerator.is_main_process:
        _write_results(job, checked, result, state, seen)
    job.accelerator.wait_for_everyone()
    return result


def measure(model: Model, seen: Any, examples: Examples, metrics: Mapping[str, Any]) -> dict[str, Estimate]:
    """Return every metric of an evaluated split with its 95 % interval."""
    groups = None
    dataset = examples.dataset
    if dataset.group and hasattr(examples.rows, "column"):
        column = examples.rows.column(dataset.group)
        groups = [column[row] for row in seen.rows]
    scores = model.head.scores(seen.outputs.to(next(model.parameters()).device)).cpu()
    return intervals.estimate(metrics, scores, seen.targets, groups)


def _write_bundle(job: Job, checked: Checked, seen: Any, examples: Examples) -> float:
    rows = seen.rows[:PARITY_EXAMPLES]
    backbone, _ = checked.one("backbone")
    parts = {"backbone": (backbone, job.model.backbone.resolved), "head": checked.one("head")}
    raw = [checked.dataset.raw(examples.rows[row]) for row in rows] if hasattr(examples.rows, "column") else []
    facts = {"input": checked.dataset.input, "recipe": job.recipe.name, "domain": job.model.backbone.domain}
    return bundle.write(job.directory / "model", job.model, parts, checked.targets, facts, raw, seen.outputs[: len(raw)])


def _write_results(job: Job, checked: Checked, result: Result, state: RunState, seen: Any) -> None:
    total, trainable = count_parameters(job.model)
    summary = {
        "split": result.split,
        "examples": len(seen.rows),
        "metrics": {name: vars(estimate) for name, estimate in result.metrics.items()},
        "loss": seen.loss,
        "best_step": result.best_step,
        "steps": state.step,
        "parity": result.parity,
        "frozen": state.frozen_hashes,
        "skipped": {**checked.skipped, "while training": state.skipped, f"while testing {result.split}": seen.skipped},
        "parameters": {"total": total, "trained": trainable},
        "seconds": round(result.seconds, 1),
    }
    checkpoint.write_atomically(job.directory / "results.json", json.dumps(summary, indent=1))
    page = report.render(job.recipe, summary, state.history, checked.targets, job.model.head.scores(seen.outputs.to(job.accelerator.device)).cpu(), seen.targets)
    checkpoint.write_atomically(job.directory / "report.html", page)


def _on_main_first(accelerator: Accelerator, action: Any) -> None:
    """Run an action on the main process; if it fails there, every process stops with its reason."""
    failure: list[str | None] = [None]
    if accelerator.is_main_process:
        try:
            action()
        except RunError as error:
            failure = [str(error)]
    broadcast_object_list(failure)
    if failure[0]:
        raise RunError(failure[0])
