"""Compare: strategies against each other and against no transfer, on the same data with the same seeds."""

import gc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inarch import plugins, recipe
from inarch.errors import InarchError, RecipeError, RunError, unknown
from inarch.recipe import Recipe
from inarch.training.progress import Progress
from inarch.workflows import cells, directory, manifest
from inarch.workflows.cells import Candidate, Cell
from inarch.workflows.check import Checked, check, summary
from inarch.workflows.fitness import refuse_misfit

RECIPE = "comparison.yaml"


@dataclass(frozen=True)
class Comparison:
    """What a comparison gives back."""

    directory: Path
    summary: Mapping[str, Any]
    """What `comparison.json` holds."""
    pictures: Sequence[Path]

    @property
    def verdict(self) -> list[str]:
        """What it says, in sentences."""
        return list(self.summary["results"][-1]["verdict"]) if self.summary["results"] else []

    @property
    def failed(self) -> list[str]:
        """The cells that failed, with their reasons."""
        return [f"{cell['title']}: {cell['failed']}" for cell in self.summary["cells"] if cell["failed"]]


@dataclass(frozen=True)
class Plan:
    """A comparison that has been checked and not begun."""

    base: Recipe
    checked: Checked
    """The base recipe with the first strategy that wants pretrained weights, if there is one."""
    candidates: Sequence[Candidate]
    cells: Sequence[Cell]
    seeds: Sequence[int]
    fractions: Sequence[float]
    metric: str
    target: float | None
    directory: Path
    data: dict[tuple[float, int], Checked]
    """Fraction and seed to the data of these cells, as far as they have been read."""

    def checked_cell(self, cell: Cell) -> Checked:
        """Return what training a cell takes: its recipe and its share of the data, which its strategies share."""
        key = (cell.fraction, cell.seed if cell.recipe.splits.draw is not None else 0)
        if key not in self.data:
            self.data[key] = check(cell.recipe)
        return replace(self.data[key], recipe=cell.recipe, components=plugins.check(cell.recipe))


def compare(
    source: Path | str,
    strategies: str | Sequence[str | Mapping[str, Any]],
    seeds: int = 5,
    fractions: Sequence[float] = (1.0,),
    metric: str | None = None,
    target: float | None = None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Train each strategy with each seed, and say how they differ; the same as ``inarch compare``.

    strategies: names, or mappings with options. seeds: how many, from the recipe's seed on. fractions: shares of the
    labels. metric: one of the recipe's; default: its best_metric, or the first. target: a value of the metric; the
    curves say how many labels it takes. out: default runs/NAME-comparison. What is finished there is not run again.
    """
    plan = prepare(source, strategies, seeds, fractions, metric, target, overrides, out)
    return run(plan, progress or Progress())


def prepare(
    source: Path | str,
    strategies: str | Sequence[str | Mapping[str, Any]],
    seeds: int,
    fractions: Sequence[float],
    metric: str | None,
    target: float | None,
    overrides: Sequence[str] | Mapping[str, Any],
    out: Path | str | None,
) -> Plan:
    """Check everything that can be known without training. Light: imports no torch."""
    parsed = recipe.load(source, overrides)
    base = cells.settle(parsed)
    found = cells.candidates(base, strategies)
    shares = sorted(set(fractions))
    _refuse_shapes(found, seeds, shares)
    chosen = _metric(base, metric)
    like = next((one for one in found if not one.random_weights), found[0])
    checked = check(like.recipe(base, {}))
    for one in found:
        _refuse_misfit(one.recipe(base, {}), checked)
    place = Path(out) if out else Path("runs") / f"{base.name}-comparison"
    directory.refuse_taken(place, base, resume=True, name=RECIPE)
    numbers = range(base.seed, base.seed + seeds)
    planned = cells.plan(base, found, numbers, shares, place, len(checked.dataset.splits["train"]))
    plan = Plan(base, checked, found, planned, numbers, shares, chosen, target, place, {})
    for cell in planned:
        if cell.seed == base.seed and cell.candidate is like:
            plan.checked_cell(cell)
    return plan


def _refuse_misfit(parsed: Recipe, checked: Checked) -> None:
    """Refuse a strategy that does not suit the data and head, before others are trained."""
    strategy = plugins.build(*plugins.check(parsed)["strategy"][0])
    refuse_misfit(parsed, strategy, checked.one("head")[0], checked.dataset, checked.targets)


def _refuse_shapes(found: Sequence[Candidate], seeds: int, fractions: Sequence[float]) -> None:
    if seeds < 1:
        raise RecipeError(f"--seeds: expected at least 1, found {seeds}")
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise RecipeError(f"--fractions: expected numbers above 0, at most 1, found {list(fractions)}")
    if len(found) < 2 and len(fractions) < 2:
        raise RecipeError(
            "--strategies: there is nothing to compare; name two or more, as in scratch,linear_probe,full"
        )


def _metric(base: Recipe, wanted: str | None) -> str:
    names = [metric.name for metric in base.metrics]
    if wanted is not None and wanted not in names:
        raise RecipeError(f"--metric: {unknown('metric', wanted, names)} It must stand under 'metrics'.")
    return wanted or (base.train.best_metric if base.train.best_metric in names else names[0])


def run(plan: Plan, progress: Progress) -> Comparison:
    """Train the cells that are not finished, then compare all that are."""
    with directory.locked(plan.directory, progress.say):
        return _run(plan, progress)


def _run(plan: Plan, progress: Progress) -> Comparison:
    from inarch.workflows.outcome import summarise, write  # brings torch

    main = os.environ.get("RANK", "0") == "0"  # of several processes
    if main:
        directory.open_for(plan.directory, plan.base, True, plan.checked.fingerprints(), RECIPE)
    for line in summary(plan.checked):
        progress.say(line)
    progress.say(equal(plan))
    failed: dict[int, str] = {}
    for number, cell in enumerate(plan.cells):
        reason = _one(plan, number, cell, main, progress)
        if reason:
            failed[number] = reason
    if not main:
        return Comparison(plan.directory, {"results": [], "cells": []}, [])
    compared = summarise(plan, failed, equal(plan))
    pictures = write(plan.directory, compared)
    manifest.seal(plan.directory)
    return Comparison(plan.directory, compared, pictures)


def equal(plan: Plan) -> str:
    """Say what is the same for all strategies, and what is not."""
    train = plan.base.train
    own = [one.label for one in plan.candidates if one.changes]
    apart = f" but for {', '.join(own)}" if own else ""
    same = f"data, splits, seeds, {train.epochs} epochs at most, batches of {train.batch_size}"
    rate = f"learning rate {train.learning_rate:g}{apart}"
    return f"the same for all: {same}, {rate}; it was not tuned here, so who wants another rate stands below its best"


def _one(plan: Plan, number: int, cell: Cell, main: bool, progress: Progress) -> str | None:
    """Finish a cell; return why it failed, or None."""
    place = f"cell {number + 1} of {len(plan.cells)}: {cell.title}"
    try:
        checked = plan.checked_cell(cell)
        done = cells.results(cell, checked)
    except RunError:
        raise  # another comparison's cell: nothing here may be touched
    except InarchError as error:
        progress.say(f"{place}: failed: {error}")
        return str(error)
    if done is None or not _has_answers(cell, done):
        reason = cells.train_cell(cell, checked, main, _Inside(progress, place))
        gc.collect()  # a model and its optimizer refer to each other
        if reason:
            progress.say(f"{place}: failed: {reason}")
            return reason
        done = cells.results(cell, checked)
        ready = ""
    else:
        ready = " (was finished)"
    assert done is not None
    progress.say(f"{place}: {plan.metric} {done['metrics'][plan.metric]['value']:.4f}, {done['seconds']:.0f} s{ready}")
    return None


def _has_answers(cell: Cell, done: Mapping[str, Any]) -> bool:
    from inarch import answers

    try:
        answers.read(cells.answers_path(cell, done["split"]))
    except RunError:
        return False
    return True


class _Inside(Progress):
    """What a cell tells of itself: its steps; its sentences and epochs are in its folder."""

    def __init__(self, outer: Progress, place: str) -> None:
        self.outer, self.place = outer, place

    def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
        """Pass on a finished step."""
        self.outer.step(done, total, epoch, epochs)

    def evaluating(self, split: str) -> None:
        """Pass on that a split is being evaluated."""
        self.outer.evaluating(f"{split} ({self.place})")
