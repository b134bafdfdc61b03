"""What a ladder leaves behind: the chosen rung as a run like any other, and only now measured on test."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from inarch import bundle, checkpoint, report
from inarch.data.loaders import Examples
from inarch.evaluation import Evaluated, build_metrics, evaluate
from inarch.intervals import Estimate
from inarch.model import Model
from inarch.training.job import evaluation_batch_size
from inarch.workflows import manifest
from inarch.workflows.check import Checked
from inarch.workflows.finish import Result, measure
from inarch.workflows.start import make_examples, resolve


def conclude(
    checked: Checked,
    directory: Path,
    rung: Path,
    record: Mapping[str, Any],
    accelerator: Accelerator,
    started: float,
) -> Result:
    """Put the rung's bundle into the run, and measure it on the last split; the main process writes."""
    split = [name for name in ("train", "valid", "test") if name in checked.dataset.splits][-1]
    model = bundle.load(rung / "model").model.to(accelerator.device)
    examples = make_examples(checked, split, model)
    seen = evaluate(model, examples, evaluation_batch_size(checked.recipe), accelerator, workers=0)
    left = json.loads((rung / "results.json").read_text(encoding="utf-8"))
    result = Result(directory, split, {}, left["best_step"], left["parity"], time.monotonic() - started)
    if accelerator.is_main_process:
        result = _write(checked, model, rung, left, record, seen, examples, result)
    accelerator.wait_for_everyone()
    return result


def _write(
    checked: Checked,
    model: Model,
    rung: Path,
    left: Mapping[str, Any],
    record: Mapping[str, Any],
    seen: Evaluated,
    examples: Examples,
    result: Result,
) -> Result:
    """Write predictions, bundle, results and report; results are the rung's, but for what was measured."""
    metrics = build_metrics(checked.components["metrics"], checked.targets)
    estimates = measure(result.directory, result.split, model, seen, examples, metrics)
    with checkpoint.written_atomically(result.directory / "model") as aside:
        shutil.copytree(rung / "model", aside, ignore=shutil.ignore_patterns(checkpoint.MANIFEST), dirs_exist_ok=True)
    history = (rung / "metrics.jsonl").read_text(encoding="utf-8")
    checkpoint.write_atomically(result.directory / "metrics.jsonl", history)
    result = Result(
        result.directory, result.split, estimates, result.best_step, result.parity, _seconds(record, result.seconds)
    )
    results = _results(checked, result, left, record, seen, examples, estimates)
    checkpoint.write_atomically(result.directory / "results.json", json.dumps(results, indent=1))
    lines = [json.loads(line) for line in history.splitlines()]
    page = report.render(
        resolve(checked, model),
        results,
        model.backbone.facts,
        lines,
        checked.targets,
        seen.compared(model),
        seen.targets,
    )
    checkpoint.write_atomically(result.directory / "report.html", page)
    manifest.seal(result.directory)
    return result


def _results(
    checked: Checked,
    result: Result,
    left: Mapping[str, Any],
    record: Mapping[str, Any],
    seen: Evaluated,
    examples: Examples,
    estimates: Mapping[str, Estimate],
) -> dict[str, Any]:
    notes = {**left["notes"], "ladder": record["sentences"], result.split: examples.notes}
    skipped = {**checked.skipped, **left["skipped"], f"while testing {result.split}": seen.skipped}
    return {
        **left,
        "split": result.split,
        "examples": len(seen.rows),
        "metrics": {name: vars(estimate) for name, estimate in estimates.items()},
        "loss": seen.loss,
        "notes": notes,
        "skipped": skipped,
        "seconds": round(result.seconds, 1),
        "ladder": record,
    }


def _seconds(record: Mapping[str, Any], now: float) -> float:
    """Return what all rungs took, also those of earlier sessions, or what this one did if that is more."""
    spent: float = sum(rung["seconds"] for rung in record["rungs"].values())
    return max(now, spent)
