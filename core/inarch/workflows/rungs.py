"""The rungs of a ladder as runs: what each is trained by, and what it reached on valid."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch.nn.functional as F

from inarch import checkpoint, intervals, plugins
from inarch import recipe as recipes
from inarch.answers import Answers
from inarch.document import Document
from inarch.errors import RecipeError
from inarch.evaluation import build_metrics
from inarch.interfaces.strategy import Rung
from inarch.model import Model
from inarch.workflows import start
from inarch.workflows.check import Checked
from inarch.workflows.climbing import Tried

FEWEST_GROUPS = 10


def prepare(checked: Checked, rung: Rung, model: Model) -> tuple[Checked, float]:
    """Return a rung as a checked recipe without test data, and in how many epochs it trains the backbone.

    Its targets are as the recipe's own head reads them.
    """
    recipe = checked.recipe
    if rung.heads is not None and recipe.head.name not in rung.heads:
        raise RecipeError(f"it is for the head {' or '.join(sorted(rung.heads))}, not {recipe.head.name}")
    plain = {**recipe.plain(), "name": f"{recipe.name}_{rung.name}"}
    changed = recipes.parse(Document(f"the rung {rung.name}", copy.deepcopy(plain)), copy.deepcopy(dict(rung.changes)))
    splits = {name: checked.dataset.splits[name] for name in ("train", "valid")}
    skipped = {name: places for name, places in checked.skipped.items() if name in splits}
    dataset = replace(checked.dataset, splits=splits)
    found = Checked(changed, plugins.check(changed), dataset, checked.targets, skipped)
    phases = start.phases(found, model)
    return found, sum(phase.epochs for phase in phases if not phase.views)


def metric_of(checked: Checked) -> str:
    """Return the metric that rungs are compared by: `train.best_metric`, or the first where that is the loss."""
    wanted = checked.recipe.train.best_metric
    return checked.recipe.metrics[0].name if wanted == "loss" else wanted


def is_finished(folder: Path) -> bool:
    """Say whether a rung has left all that it leaves, whole: its bundle is written before its results."""
    left = folder / "results.json", folder / "predictions" / "valid.safetensors"
    return all(path.is_file() for path in left) and checkpoint.problem(folder / "model") is None


def measure(checked: Checked, name: str, found: Answers, trains: bool) -> Tried:
    """Return what answers to valid reach, larger being better, with the draws that all rungs share.

    Whole groups are drawn where there are at least `FEWEST_GROUPS`; one speaker alone would be the same in every draw.
    """
    wanted = metric_of(checked)
    metric = build_metrics(checked.components["metrics"], checked.targets)[wanted]
    groups = None if found.groups is None else found.groups.tolist()
    if groups and len(set(groups)) < FEWEST_GROUPS:
        groups = None
    draws = intervals.draws(len(found.rows), groups, np.random.default_rng(checked.recipe.seed))
    sign = _sign(checked)
    value, drawn = found.value(wanted, metric), found.resampled(wanted, metric, draws)
    return Tried(name, sign * value, sign * drawn, trains, sign)


def without_errors(checked: Checked, found: Answers) -> Tried | None:
    """Return what a model would reach that always answers the target; None where targets do not say what that is."""
    kind = checked.targets.kind
    if found.scores is None or found.targets is None or kind not in ("classes", "labels", "numbers"):
        return None
    scores = found.targets.float()
    if kind == "classes":
        scores = F.one_hot(found.targets, found.scores.shape[1]).float()
    if scores.shape != found.scores.shape:
        return None
    return measure(checked, "a model without errors", replace(found, scores=scores), True)


def shown(checked: Checked, tried: Tried) -> float:
    """Return what a rung reached, in the metric's own sense."""
    return tried.sign * tried.value


def _sign(checked: Checked) -> int:
    larger = {entry.name: entry.facts["larger_is_better"] for entry, _ in checked.components["metrics"]}
    return 1 if larger[metric_of(checked)] else -1
