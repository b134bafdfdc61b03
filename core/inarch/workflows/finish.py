"""What a training leaves behind: figures on test, predictions, the bundle, the report."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from inarch import answers, bundle, checkpoint, intervals, report
from inarch.data.loaders import Examples, Item
from inarch.errors import RunError
from inarch.evaluation import Evaluated, predictions, write_predictions
from inarch.interfaces.dataset import Stream
from inarch.intervals import Estimate
from inarch.model import Model, count_parameters, to_device
from inarch.training.combination import load_chosen
from inarch.training.job import Job, evaluation_batch_size
from inarch.training.probe import evaluate_split
from inarch.training.state import RunState
from inarch.workflows import manifest
from inarch.workflows.check import Checked, refuse_many
from inarch.workflows.other_runs import bundles_of_runs
from inarch.workflows.start import build_strategy, resolve

PARITY_EXAMPLES = 16
ANSWERS = (".jsonl", ".safetensors")
"""What `measure` writes, as predictions/SPLIT and these."""


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


def finish(job: Job, checked: Checked, state: RunState, started: float, measured: tuple[str, Examples]) -> Result:
    """Measure the best weights on a split, and write bundle, predictions and report; the main process writes."""
    split, examples = measured
    strategy = build_strategy(checked)
    best_step, combined = load_chosen(job, state, strategy, bundles_of_runs(checked, job.model, strategy))
    parameters = count_parameters(job.model)
    plain = strategy.merge(job.model.backbone)
    refuse_many(state.skipped, sum(map(len, checked.dataset.splits.values())), job.recipe)
    job.progress.evaluating(split)
    only_fitted = all("fit" in line for line in state.history)
    seen = evaluate_split(job, job.model, examples, only_fitted)
    result = Result(job.directory, split, {}, best_step, 0.0, time.monotonic() - started)
    if job.accelerator.is_main_process:
        if not job.directory.is_dir():  # or the rest of it would be written anew, as if that were a run
            raise RunError(f"{job.directory} is gone; what the run wrote into it is lost")
        estimates = measure(job.directory, split, job.model, seen, examples, job.metrics)
        parity = _write_bundle(job, checked, seen, examples, plain)
        result = Result(job.directory, split, estimates, best_step, parity, time.monotonic() - started)
        job = replace(job, facts={**job.facts, **({"combined": combined} if combined else {})})
        _write_results(job, checked, result, state, seen, examples, parameters)
        manifest.seal(job.directory)
    job.accelerator.wait_for_everyone()
    return result


def measure(
    directory: Path, split: str, model: Model, seen: Evaluated, examples: Examples, metrics: Mapping[str, Any]
) -> dict[str, Estimate]:
    """Return every metric of an evaluated split with its 95 % interval; what was answered is written into the run."""
    groups, compared = _groups_of(seen, examples), seen.compared(model)
    written = directory / "predictions" / split
    lines, tensors = [written.with_suffix(suffix) for suffix in ANSWERS]
    checkpoint.folder(written.parent)
    write_predictions(lines, predictions(model, seen, examples))
    answers.write(tensors, answers.collect(seen.rows, groups, compared, seen.targets, metrics))
    return intervals.estimate(metrics, compared, seen.targets, groups)


def _groups_of(seen: Evaluated, examples: Examples) -> list[Any] | None:
    """Return the group of each example, if the data has groups and can be asked for them."""
    group = examples.dataset.group
    if not group or isinstance(examples.rows, Stream):
        return None
    column = examples.rows.column(group)
    return [column[row] for row in seen.rows]


def _write_bundle(job: Job, checked: Checked, seen: Evaluated, examples: Examples, plain: bool) -> float:
    """Write the bundle; if the backbone is not plain, the strategy belongs to it."""
    found = _first_rows(seen, examples)
    expected = _outputs(job, examples.assemble(found, None, len(found)))
    raw = [checked.dataset.raw(row) for _, row in found]
    parts = {"backbone": (checked.one("backbone")[0], job.model.backbone.resolved), "head": checked.one("head"),
             **({} if plain else {"strategy": checked.one("strategy")})}  # fmt: skip
    facts = {"input": checked.dataset.input, "recipe": job.recipe.name, "domain": job.model.backbone.domain}
    return bundle.write(job.directory / "model", job.model, parts, checked.targets, facts, raw, expected)


def _first_rows(seen: Evaluated, examples: Examples) -> list[tuple[int, Any]]:
    """Return the first rows that could be read, with their numbers."""
    numbers = seen.rows[:PARITY_EXAMPLES]
    if isinstance(examples.rows, Stream):
        rows: Any = list(islice(examples.rows.read(None, 0), numbers[-1] + 1))
    else:
        rows = examples.rows
    return [(number, rows[number]) for number in numbers]


@torch.inference_mode()
def _outputs(job: Job, item: Item) -> Any:
    """Return what the training path answers to an item."""
    job.model.eval()
    batch = to_device(item, job.accelerator.device)["batch"]
    return job.model.answer(batch, item["kept"], evaluation_batch_size(job.recipe))


def _write_results(
    job: Job,
    checked: Checked,
    result: Result,
    state: RunState,
    seen: Evaluated,
    examples: Examples,
    parameters: tuple[int, int],
) -> None:
    total, trained = parameters
    summary = {
        "split": result.split,
        "examples": len(seen.rows),
        "metrics": {name: vars(estimate) for name, estimate in result.metrics.items()},
        "loss": seen.loss,
        "best_step": result.best_step,
        "steps": state.step,
        "parity": result.parity,
        "left_out_steps": state.left_out,
        "frozen": state.frozen_hashes,
        "fits": [line["fit"] for line in state.history if "fit" in line],
        "notes": {"data": [*checked.dataset.notes, *checked.targets.notes], **job.notes, result.split: examples.notes},
        "skipped": {**checked.skipped, "while training": state.skipped, f"while testing {result.split}": seen.skipped},
        "parameters": {"total": total, "trained": trained},
        "seconds": round(result.seconds, 1),
        **job.facts,
    }
    checkpoint.write_atomically(job.directory / "results.json", json.dumps(summary, indent=1))
    resolved, facts = resolve(checked, job.model), job.model.backbone.facts
    page = report.render(
        resolved, summary, facts, state.history, checked.targets, seen.compared(job.model), seen.targets
    )
    checkpoint.write_atomically(job.directory / "report.html", page)
