"""The ladder: ordinary runs of the rungs, each measured on valid; the best one's weights become the run's.

What is spent is the seconds, and the epochs in which the backbone was trained, that finished rungs wrote down: a run
that is resumed goes on where it was, and does not run them again.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, set_seed

from inarch import answers, checkpoint
from inarch.errors import PluginError, RecipeError, RunError
from inarch.interfaces.strategy import Ladder
from inarch.model import Model
from inarch.training.hardware import choose_precision, prepare_model, prepare_process
from inarch.training.progress import Progress
from inarch.workflows import directory as directories
from inarch.workflows import rungs, start
from inarch.workflows.check import Checked, summary
from inarch.workflows.climbing import Step, Tried, best, decide
from inarch.workflows.environment import describe
from inarch.workflows.finish import Result
from inarch.workflows.ladder_end import conclude
from inarch.workflows.pace import seconds_per_epoch

FOLDER = "rungs"
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
    accelerator = start.start_processes()
    progress = progress if accelerator.is_main_process else Progress()
    directory = broadcast_object_list([directories.choose(out, checked.recipe.name, resume)])[0]
    with ExitStack() as held:
        start.on_main_first(accelerator, lambda: held.enter_context(directories.locked(directory, progress.say)))
        given = _begin(checked, ladder, directory, resume, accelerator, progress, train)
        tried, record = _run(given)
        chosen = best(tried)
        record["chosen"] = chosen.name
        value = f"{given.metric} {rungs.shown(checked, chosen):.4f}"
        record["sentences"].append(f"{chosen.name} is the best of {len(tried)} on valid: {value}")
        progress.say(record["sentences"][-1])
        _write(given, record)
        return conclude(checked, directory, directory / FOLDER / chosen.name, record, accelerator, started)


def _begin(
    checked: Checked,
    ladder: Ladder,
    directory: Path,
    resume: bool,
    accelerator: Accelerator,
    progress: Progress,
    train: Train,
) -> _Climb:
    """Open the directory, and say in it with what the rungs are run."""
    recipe = checked.recipe
    levers = prepare_process(accelerator.device)
    set_seed(recipe.seed)
    model = start.build_model(checked)
    examples = {name: start.make_examples(checked, name, model) for name in checked.dataset.splits}
    resolved, data = start.resolve(checked, model), checked.fingerprints()
    start.on_main_first(accelerator, lambda: directories.open_for(directory, resolved, resume, data))
    for line in summary(checked):
        progress.say(line)
    precision = choose_precision(accelerator.device, recipe.train.precision)
    levers += prepare_model(model, accelerator.device, precision)
    environment = describe(checked, model, accelerator, precision, levers)
    if accelerator.is_main_process:
        checkpoint.write_atomically(directory / "environment.json", json.dumps(environment, indent=1, default=str))
    pace = _once(lambda: seconds_per_epoch(model, checked, examples, accelerator, precision))
    return _Climb(checked, ladder, directory, model, accelerator, progress, train, rungs.metric_of(checked), pace)


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
            as_rung, epochs = rungs.prepare(given.checked, rung, given.model)
            step = decide(tried, rung.name, epochs > 0, ideal, given.ladder.look_further)
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
    told = f"it would take about {needed:.0f} s, {how}, and the budget leaves {max(left, 0):.0f} s"
    return Step(False, f"{name} is not begun: {told}")


def _try(
    given: _Climb, as_rung: Checked, name: str, epochs: float, spent: dict[str, Any], ideal: Tried | None
) -> tuple[Tried, Tried | None]:
    """Run a rung, or read what it left if it has finished; return it, and what a model without errors would reach."""
    folder = given.directory / FOLDER / name
    if not rungs.is_finished(folder):
        given.train(as_rung, folder, (folder / directories.RECIPE).is_file(), given.progress)
    given.accelerator.wait_for_everyone()
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    found = answers.read(folder / "predictions" / "valid.safetensors")
    tried = rungs.measure(given.checked, name, found, epochs > 0)
    spent[name] = {
        given.metric: rungs.shown(given.checked, tried),
        "seconds": results["seconds"],
        "epochs": epochs,
    }
    return tried, ideal or rungs.without_errors(given.checked, found)


def _once(function: Callable[[], float]) -> Callable[[], float]:
    found: list[float] = []
    return lambda: found[0] if found else (found.append(function()) or found[0])  # type: ignore[func-returns-value]


def _write(given: _Climb, record: Mapping[str, Any]) -> None:
    if given.accelerator.is_main_process:
        checkpoint.write_atomically(given.directory / "ladder.json", json.dumps(record, indent=1))
