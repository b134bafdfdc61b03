"""The ladder: ordinary runs of the rungs, each measured on valid; the best one's weights become the run's.

What is spent is the seconds, and the epochs in which the backbone was trained, that finished rungs wrote down: a run
that is resumed goes on where it was, and does not run them again.
"""

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, set_seed

from inarch import answers, checkpoint, intervals, plugins
from inarch import recipe as recipes
from inarch.answers import Answers
from inarch.document import Document
from inarch.errors import PluginError, RecipeError, RunError
from inarch.evaluation import build_metrics
from inarch.interfaces.strategy import Ladder, Rung
from inarch.model import Model
from inarch.training.hardware import choose_precision, prepare_model, prepare_process
from inarch.training.progress import Progress
from inarch.workflows import directory as directories
from inarch.workflows import start
from inarch.workflows.check import Checked, summary
from inarch.workflows.climbing import Step, Tried, best, decide
from inarch.workflows.environment import describe
from inarch.workflows.finish import Result
from inarch.workflows.ladder_end import conclude
from inarch.workflows.pace import seconds_per_epoch

RUNGS = "rungs"
Train = Callable[[Checked, Path | None, bool, Progress], Result]


@dataclass(frozen=True)
class _Climb:
    """What a climb is given."""

    checked: Checked
    ladder: Ladder
    directory: Path
    model: Model
    accelerator: Accelerator
    progress: Progress
    train: Train
    metric: str
    pace: Callable[[], float]
    """Seconds in which an epoch of training the whole backbone takes, by a few timed steps."""


def climb(checked: Checked, ladder: Ladder, out: Path | None, resume: bool, progress: Progress, train: Train) -> Result:
    """Train rungs by `train` while they pay, and make a run of the best."""
    started = time.monotonic()
    _refuse_no_valid(checked)
    recipe = checked.recipe
    accelerator = start.start_processes()
    progress = progress if accelerator.is_main_process else Progress()
    levers = prepare_process(accelerator.device)
    set_seed(recipe.seed)
    model = start.build_model(checked)
    examples = {name: start.make_examples(checked, name, model) for name in checked.dataset.splits}
    resolved = start.resolve(checked, model)
    directory = broadcast_object_list([directories.choose(out, recipe.name, resume)])[0]
    data = checked.fingerprints()
    start.on_main_first(accelerator, lambda: directories.open_for(directory, resolved, resume, data))
    for line in summary(checked):
        progress.say(line)
    precision = choose_precision(accelerator.device, recipe.train.precision)
    levers += prepare_model(model, accelerator.device, precision)
    environment = describe(checked, model, accelerator, precision, levers)
    if accelerator.is_main_process:
        checkpoint.write_atomically(directory / "environment.json", json.dumps(environment, indent=1, default=str))
    pace = _once(lambda: seconds_per_epoch(model, checked, examples, accelerator, precision))
    given = _Climb(checked, ladder, directory, model, accelerator, progress, train, _metric(checked), pace)
    tried, record = _run(given)
    record["chosen"] = best(tried).name
    last = f"{best(tried).name} is the best of {len(tried)} on valid: {given.metric} {_value(given, best(tried)):.4f}"
    record["sentences"].append(last)
    progress.say(last)
    _write(given, record)
    return conclude(checked, directory, directory / RUNGS / best(tried).name, record, accelerator, started)


def _run(given: _Climb) -> tuple[list[Tried], dict[str, Any]]:
    """Run rungs until the rule or the budget says stop; return them, and what was decided and why."""
    tried: list[Tried] = []
    ideal: Tried | None = None
    told: list[str] = []
    spent: dict[str, Any] = {}
    budget = {"seconds": given.ladder.seconds, "epochs": given.ladder.epochs}
    record: dict[str, Any] = {"metric": given.metric, "budget": budget, "rungs": spent, "sentences": told}
    failure: Exception | None = None
    for rung in given.ladder.rungs:
        try:
            as_rung, epochs = _as_rung(given, rung)
            step = decide(tried, rung.name, epochs > 0, ideal, _is_limited(given.ladder))
            if step.go and epochs:
                step = _within(given, rung.name, epochs, spent) or step
            [step] = broadcast_object_list([step])
            told.append(step.why)
            given.progress.say(step.why)
            if not step.go:
                break
            found, ideal = _try(given, as_rung, rung.name, epochs, spent, ideal)
            tried.append(found)
        except (RecipeError, PluginError, RunError) as error:
            failure = error
            told.append(f"{rung.name} is passed over: {error}")
            given.progress.say(told[-1])
        _write(given, record)
    if not tried:
        raise failure or RunError(f"{given.directory}: no rung fits into strategy.budget; raise it")
    return tried, record


def _as_rung(given: _Climb, rung: Rung) -> tuple[Checked, float]:
    """Return a rung as a checked recipe without test data, and in how many epochs it trains the backbone.

    Its targets are as the recipe's own head reads them.
    """
    checked = given.checked
    if rung.heads is not None and checked.recipe.head.name not in rung.heads:
        raise RecipeError(f"it is for the head {' or '.join(sorted(rung.heads))}, not {checked.recipe.head.name}")
    plain = {**checked.recipe.plain(), "name": f"{checked.recipe.name}_{rung.name}"}
    recipe = recipes.parse(Document(f"the rung {rung.name}", copy.deepcopy(plain)), copy.deepcopy(dict(rung.changes)))
    splits = {name: checked.dataset.splits[name] for name in ("train", "valid")}
    skipped = {name: places for name, places in checked.skipped.items() if name in splits}
    found = Checked(recipe, plugins.check(recipe), replace(checked.dataset, splits=splits), checked.targets, skipped)
    phases = start.phases(found, given.model)
    return found, sum(phase.epochs for phase in phases if not phase.views)


def _within(given: _Climb, name: str, epochs: float, spent: Mapping[str, Any]) -> Step | None:
    """Return the step of not beginning a rung that will not fit into the budget; None: it will, as far as is known."""
    ladder = given.ladder
    if ladder.epochs is not None:
        left = ladder.epochs - sum(rung["epochs"] for rung in spent.values())
        if epochs > left:
            return Step(False, f"{name} is not begun: it trains for {epochs:g} epochs, and the budget leaves {left:g}")
    if ladder.seconds is None:
        return None
    left = ladder.seconds - sum(rung["seconds"] for rung in spent.values())
    paces = [rung["seconds"] / rung["epochs"] for rung in spent.values() if rung["epochs"]]
    needed = epochs * (max(paces) if paces else given.pace())
    if needed <= left:
        return None
    how = "as the rungs before took" if paces else "by a few timed steps"
    return Step(False, f"{name} is not begun: it would take about {needed:.0f} s, {how}, and the budget leaves {max(left, 0):.0f} s")  # fmt: skip  # noqa: E501


def _try(
    given: _Climb, as_rung: Checked, name: str, epochs: float, spent: dict[str, Any], ideal: Tried | None
) -> tuple[Tried, Tried | None]:
    """Run a rung, or read what it left if it has finished; return it, and what a model without errors would reach."""
    folder = given.directory / RUNGS / name
    if not _is_finished(folder):
        given.train(as_rung, folder, (folder / directories.RECIPE).is_file(), given.progress)
    given.accelerator.wait_for_everyone()
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    found = answers.read(folder / "predictions" / "valid.safetensors")
    tried = _measure(given, name, found, epochs > 0)
    value = _value(given, tried)
    spent[name] = {given.metric: value, "seconds": results["seconds"], "epochs": epochs}
    perfect = _without_errors(found, given.checked.targets.kind)
    return tried, ideal if ideal or perfect is None else _measure(given, "a model without errors", perfect, True)


def _is_finished(folder: Path) -> bool:
    """Say whether a rung has left all that it leaves, whole: its bundle is written before its results."""
    left = folder / "results.json", folder / "predictions" / "valid.safetensors"
    return all(path.is_file() for path in left) and checkpoint.problem(folder / "model") is None


def _measure(given: _Climb, name: str, found: Answers, trains: bool) -> Tried:
    """Return what answers to valid reach, larger being better, with the draws that all rungs share."""
    metric = build_metrics(given.checked.components["metrics"], given.checked.targets)[given.metric]
    groups = None if found.groups is None else found.groups.tolist()
    draws = intervals.draws(len(found.rows), groups, np.random.default_rng(given.checked.recipe.seed))
    sign = _sign(given)
    value, drawn = found.value(given.metric, metric), found.resampled(given.metric, metric, draws)
    return Tried(name, sign * value, sign * drawn, trains)


def _without_errors(found: Answers, kind: str) -> Answers | None:
    """Return the answers of a model that always gives the target, for targets that say what these would be."""
    if found.scores is None or found.targets is None or kind not in ("classes", "labels", "numbers"):
        return None
    scores = found.targets.float()
    if kind == "classes":
        scores = F.one_hot(found.targets, found.scores.shape[1]).float()
    return replace(found, scores=scores if scores.shape == found.scores.shape else found.scores)


def _sign(given: _Climb) -> float:
    entries = {entry.name: entry.facts["larger_is_better"] for entry, _ in given.checked.components["metrics"]}
    return 1.0 if entries[given.metric] else -1.0


def _value(given: _Climb, tried: Tried) -> float:
    """Return what a rung reached, in the metric's own sense."""
    return _sign(given) * tried.value


def _is_limited(ladder: Ladder) -> bool:
    return ladder.seconds is not None or ladder.epochs is not None


def _metric(checked: Checked) -> str:
    """Return the metric that rungs are compared by: `train.best_metric`, or the first where that is the loss."""
    wanted = checked.recipe.train.best_metric
    return checked.recipe.metrics[0].name if wanted == "loss" else wanted


def _once(function: Callable[[], float]) -> Callable[[], float]:
    found: list[float] = []
    return lambda: found[0] if found else (found.append(function()) or found[0])  # type: ignore[func-returns-value]


def _write(given: _Climb, record: Mapping[str, Any]) -> None:
    if given.accelerator.is_main_process:
        checkpoint.write_atomically(given.directory / "ladder.json", json.dumps(record, indent=1))


def _refuse_no_valid(checked: Checked) -> None:
    if "valid" not in checked.dataset.splits:
        raise RecipeError("strategy: a ladder chooses by valid; set splits.valid above 0 or bring a valid split")
