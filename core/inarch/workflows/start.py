"""What a training needs before its first step: processes, model, data, and the job that holds them."""

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list

from inarch import plugins
from inarch.data.loaders import Examples
from inarch.errors import DataError, RecipeError, RunError
from inarch.evaluation import build_metrics
from inarch.interfaces.backbone import Backbone
from inarch.interfaces.head import Head
from inarch.interfaces.strategy import Phase, Strategy
from inarch.model import Model
from inarch.opening import Allowance
from inarch.parts import describe
from inarch.promises import check_phases
from inarch.recipe import Component, Recipe
from inarch.source import spell
from inarch.training.engine import make_accelerator
from inarch.training.job import Job
from inarch.training.progress import Progress
from inarch.training.waiting import timeout, waiting_for
from inarch.turns import turn
from inarch.weights import load_weights
from inarch.workflows.check import Checked, refuse_many


def start_processes() -> Accelerator:
    """Start accelerate, and refuse to run with fewer processes than were asked for."""
    with waiting_for("starting"):
        accelerator = _accelerator()
    wanted = int(os.environ.get("INARCH_PROCESSES", "0"))
    several = {"ACCELERATE_MIXED_PRECISION", "MASTER_PORT"} <= os.environ.keys() and "WORLD_SIZE" not in os.environ
    if (wanted and accelerator.num_processes != wanted) or several:
        raise RunError(
            f"the launcher was asked for {wanted or 'several'} processes and started {accelerator.num_processes}; use "
            "inarch train RECIPE --processes N, or accelerate launch --multi_gpu --num_processes N (also without a GPU)"
        )
    return accelerator


def with_tracker(directory: Path, tracker: str) -> Accelerator:
    """Return the accelerator of this process, with a tracker that logs into the run directory once it is started."""
    if tracker == "none":
        return _accelerator()
    if tracker not in map(str, get_available_trackers()):  # accelerate would go on without it
        raise RunError(f"train.tracker: {tracker} is not installed: pip install {tracker}; or write train.tracker=none")
    return _accelerator(log_with=tracker, project_dir=directory)


def build_model(checked: Checked) -> Model:
    """Build the model, load its weights, and insert what the strategy trains beside them."""
    strategy, fetched = build_strategy(checked), _fetched(checked)
    with turn(fetched) if fetched else nullcontext():
        backbone = _build_backbone(checked)
        head: Head = plugins.build(*checked.one("head"), checked.targets, backbone.num_features)
        model = Model(backbone, head)
        if not strategy.random_weights:
            load_weights(backbone, checked.one("backbone")[0].name)
    strategy.adapt(backbone)
    return model


def _build_backbone(checked: Checked) -> Backbone:
    """Build the backbone; with files of a source model, which may be a stranger's, only as large as its weights."""
    source = checked.source
    with Allowance(source.directory, adapters=False) if source else nullcontext():
        backbone: Backbone = plugins.build(*checked.one("backbone"))
    return backbone


def _fetched(checked: Checked) -> str | None:
    """Name the weights that the backbone's library may have to fetch; None: they are random, or on this machine."""
    entry, options = checked.one("backbone")
    model, weights = str(options.get("model") or ""), str(options.get("weights", "none"))
    here = weights.startswith("package:") or any(name and Path(name).exists() for name in (model, weights))
    return None if weights == "none" or here else f"the weights of {entry.name} {model} ({weights})"


def differences(checked: Checked, model: Model) -> list[str]:
    """Say which options of the backbone, its preprocessing among them, are not those that its source model had."""
    found = checked.source.differences(model.backbone.resolved) if checked.source else {}
    return [f"the source model had other options: {spell(found)}"] if found else []


def resolve(checked: Checked, model: Model) -> Recipe:
    """Return the recipe with every default written out, those that the backbone settled when it saw the data too."""
    known = Component(checked.one("backbone")[0].name, dict(model.backbone.resolved))
    return replace(checked.resolved(), backbone=known)


def build_strategy(checked: Checked) -> Strategy:
    """Build the recipe's strategy."""
    strategy: Strategy = plugins.build(*checked.one("strategy"))
    return strategy


def phases(checked: Checked, model: Model) -> list[Phase]:
    """Return what the recipe's strategy makes of the backbone's layers."""
    strategy = build_strategy(checked)
    return check_phases(strategy, model.backbone, strategy.phases(model.backbone, checked.recipe.train))


def speed_up(model: Model, recipe: Recipe) -> None:
    """Do what `train.gradient_checkpointing` and `train.compile` ask for."""
    if recipe.train.gradient_checkpointing:
        try:
            model.backbone.gradient_checkpointing()
        except NotImplementedError:
            where = recipe.document.where(("train", "gradient_checkpointing"))
            raise RecipeError(f"{where}: the backbone '{recipe.backbone.name}' does not support it") from None
    if recipe.train.compile:
        model.compile()


def make_examples(checked: Checked, split: str, model: Model) -> Examples:
    """Make a split ready to be read; inputs that only the backbone finds unreadable are told here, not in an epoch."""
    recipe = checked.recipe
    skip = recipe.on_error == "skip"
    examples = Examples(checked.dataset, split, model.backbone, model.head, recipe.seed, skip)
    bad = [f"{examples.rows.where(index)}: {why}" for index, why in examples.unreadable()]
    if bad and len(bad) == len(examples.rows):
        raise DataError(f"no example of {split} can be read; the first: {bad[0]}")
    if bad and not skip:
        raise DataError(f"{bad[0]} (on_error: skip would leave it out)")
    refuse_many(bad, len(examples.rows), recipe)
    if bad:
        are = "example is" if len(bad) == 1 else "examples are"
        examples.notes.append(f"{len(bad):,} {are} left out (on_error), for they cannot be read; the first: {bad[0]}")
    return examples


def make_job(
    checked: Checked,
    directory: Path,
    model: Model,
    examples: Mapping[str, Examples],
    accelerator: Accelerator,
    precision: str,
    progress: Progress,
) -> Job:
    """Put the parts of a training together; its lifecycle hook says nothing yet."""
    strategy = build_strategy(checked)
    parts = {"backbone": (checked.one("backbone")[0], model.backbone.resolved), "head": checked.one("head")}
    if type(strategy).adapt is not Strategy.adapt:
        parts["strategy"] = checked.one("strategy")
    return Job(
        recipe=checked.recipe,
        directory=directory,
        model=model,
        accelerator=accelerator,
        precision=precision,
        train=examples["train"],
        valid=examples.get("valid"),
        metrics=build_metrics(checked.components["metrics"], checked.targets),
        larger_is_better={entry.name: entry.facts["larger_is_better"] for entry, _ in checked.components["metrics"]},
        progress=progress,
        on_epoch_end=lambda epoch, metrics: None,
        keeps=strategy.keeps if strategy.combines else 0,
        parts=describe(parts, checked.targets),
        resolved=resolve(checked, model),
    )


def on_main_first(accelerator: Accelerator, action: Callable[[], None]) -> None:
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


def _accelerator(**options: Any) -> Accelerator:
    # one more, for accelerate drops what it takes for its default, and torch's own, for another backend, is longer
    group = InitProcessGroupKwargs(timeout=timeout() + timedelta(microseconds=1))
    return make_accelerator(kwargs_handlers=[group], **options)
