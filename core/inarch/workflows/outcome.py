"""What a comparison's cells add up to: means, differences, verdicts, curves of labels; `comparison.json`, pictures."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from inarch import answers
from inarch.answers import Answers
from inarch.checkpoint import write_atomically
from inarch.errors import RunError
from inarch.evaluation import build_metrics
from inarch.plugins import Entry
from inarch.studies import comparison, plots
from inarch.studies.comparison import Measured, Pair
from inarch.studies.verdict import Unit, short, verdict
from inarch.workflows import cells
from inarch.workflows.cells import Cell
from inarch.workflows.curves import curves, or_none

if TYPE_CHECKING:
    from inarch.workflows.compare import Plan


@dataclass(frozen=True)
class Finished:
    """A cell that has a value of the metric."""

    cell: Cell
    results: Mapping[str, Any]
    answers: Answers
    labels: int
    """Examples in its train."""


class Outcome:
    """The finished cells, measured on the same draws of the same examples."""

    def __init__(self, plan: "Plan", failed: dict[int, str]) -> None:
        self.plan, self.failed, self.notes = plan, failed, list[str]()
        self.entry: Entry = next(entry for entry, _ in plan.checked.components["metrics"] if entry.name == plan.metric)
        self.metric = build_metrics(plan.checked.components["metrics"], plan.checked.targets)[plan.metric]
        self.larger_is_better = bool(self.entry.facts["larger_is_better"])
        self.finished = self._read()
        if not self.finished:
            first = next(iter(failed.values()), "")
            raise RunError(f"no cell of the comparison has a value of {plan.metric}; the first failed: {first}")
        aligned, lost = comparison.align([one.answers for one in self.finished])
        if lost:
            self.notes.append(f"{lost} test examples that not every cell could read are left out")
        drawn = comparison.draw_examples(aligned[0], len(aligned))
        self.examples, groups = len(aligned[0].rows), aligned[0].groups
        self.groups = None if groups is None else len(set(groups.tolist()))
        self.measured: dict[float, dict[str, Measured]] = {fraction: {} for fraction in plan.fractions}
        for fraction in plan.fractions:
            for candidate in plan.candidates:
                its = {
                    one.cell.seed: found
                    for one, found in zip(self.finished, aligned, strict=True)
                    if one.cell.fraction == fraction and one.cell.candidate is candidate
                }
                if its:
                    found = comparison.measure(plan.metric, self.metric, its, drawn)
                    self.measured[fraction][candidate.label] = found

    def _read(self) -> list[Finished]:
        found = []
        for number, cell in enumerate(self.plan.cells):
            if number in self.failed:
                continue
            results = cells.results(cell, self.plan.checked_cell(cell))
            assert results is not None
            read = answers.read(cells.answers_path(cell, results["split"]))
            if not math.isfinite(results["metrics"][self.plan.metric]["value"]):
                self.failed[number] = f"{self.plan.metric} is not defined on its answers"
                continue
            data = json.loads((cell.directory / "data.json").read_text(encoding="utf-8"))
            found.append(Finished(cell, results, read, data["train"]["examples"]))
        return found

    def of(self, label: str, fraction: float) -> list[Finished]:
        """Return the finished cells of a strategy."""
        return [one for one in self.finished if (one.cell.candidate.label, one.cell.fraction) == (label, fraction)]

    @cached_property
    def is_share(self) -> bool:
        """Whether the metric is a share, told in points; a metric of numbers has their unit, or its own."""
        values = [value for each in self.measured.values() for one in each.values() for value in one.values.values()]
        return "numbers" not in self.entry.facts["kinds"] and all(-1 <= value <= 1 for value in values)


def summarise(plan: "Plan", failed: Mapping[int, str], equal: str) -> dict[str, Any]:
    """Return what `comparison.json` holds."""
    outcome = Outcome(plan, dict(failed))
    notes = [equal, *outcome.notes, *_notes(outcome)]
    results = [_result(outcome, fraction) for fraction in plan.fractions if outcome.measured[fraction]]
    lines, target = curves(outcome) if len(plan.fractions) > 1 else ({}, None)
    return {
        "recipe": plan.base.name,
        "inarch": version("inarch"),
        "metric": plan.metric,
        "larger_is_better": outcome.larger_is_better,
        "points": outcome.is_share,
        "split": outcome.finished[0].results["split"],
        "examples": outcome.examples,
        "groups": outcome.groups,
        "seeds": list(plan.seeds),
        "fractions": list(plan.fractions),
        "strategies": [
            {"label": one.label, "name": one.name, "options": dict(one.options), "changes": dict(one.changes),
             "random_weights": one.random_weights}
            for one in plan.candidates
        ],
        "results": results,
        "curves": lines,
        "target": target,
        "notes": notes,
        "cells": [_cell(outcome, number, cell) for number, cell in enumerate(plan.cells)],
    }  # fmt: skip


def _result(outcome: Outcome, fraction: float) -> dict[str, Any]:
    """Return what strategies reached with a share of the labels, best first, their differences, and the verdict."""
    found = outcome.measured[fraction]
    pairs = comparison.compare(found, outcome.larger_is_better)
    random = {one.label for one in outcome.plan.candidates if one.random_weights}
    if outcome.plan.checked.one("backbone")[1].get("weights") == "none":
        random = set()  # no strategy has pretrained weights: there is no transfer to speak of
    strategies = sorted(
        (_strategy(outcome, label, fraction) for label in found),
        key=lambda one: -one["mean"] if outcome.larger_is_better else one["mean"],
    )
    least = min((one["seconds"] for one in strategies if one["seconds"]), default=None)
    for one in strategies:
        one["cost"] = round(one["seconds"] / least, 2) if least and one["seconds"] else None
    sentences = verdict(pairs, outcome.examples, random, Unit(outcome.is_share), outcome.groups)
    labels = [one.labels for one in outcome.finished if one.cell.fraction == fraction]
    return {
        "fraction": fraction,
        "labels": round(sum(labels) / len(labels)),
        "strategies": strategies,
        "pairs": [_pair(pair) for pair in pairs],
        "verdict": sentences,
    }


def _strategy(outcome: Outcome, label: str, fraction: float) -> dict[str, Any]:
    done = outcome.of(label, fraction)
    measured = outcome.measured[fraction][label]
    mean = comparison.mean(measured)
    low, high = mean.interval()
    if outcome.is_share:  # a few seeds that disagree reach beyond what there is
        low, high = max(low, min(0.0, *measured.values.values())), min(high, 1.0)
    names = list(done[0].results["metrics"])
    whole = [one.results["seconds"] for one in done if not (one.cell.directory / cells.RESUMED).exists()]
    return {
        "label": label,
        "mean": mean.value,
        "low": or_none(low),
        "high": or_none(high),
        "values": {str(seed): value for seed, value in measured.values.items()},
        "metrics": {name: float(np.mean([one.results["metrics"][name]["value"] for one in done])) for name in names},
        "seconds": round(median(whole), 1) if whole else None,
        "trained": done[0].results["parameters"]["trained"],
        "weights": short(done[0].results["parameters"]["trained"]),
    }


def _pair(pair: Pair) -> dict[str, Any]:
    numbers = {name: or_none(getattr(pair, name)) for name in ("low", "high", "all_low", "all_high", "from_seeds")}
    return {
        "first": pair.first, "second": pair.second, "difference": pair.value, **numbers,
        "told": pair.is_told, "seeds": list(pair.seeds),
    }  # fmt: skip


def _cell(outcome: Outcome, number: int, cell: Cell) -> dict[str, Any]:
    done = next((one for one in outcome.finished if one.cell is cell), None)
    return {
        "title": cell.title,
        "strategy": cell.candidate.label,
        "seed": cell.seed,
        "fraction": cell.fraction,
        "directory": str(cell.directory.relative_to(outcome.plan.directory)),
        "failed": outcome.failed.get(number),
        "labels": done and done.labels,
        "metrics": done and {name: one["value"] for name, one in done.results["metrics"].items()},
        "seconds": done and done.results["seconds"],
        "best_step": done and done.results["best_step"],
    }


def _notes(outcome: Outcome) -> list[str]:
    """Return what a reader of the figures should know of the cells."""
    notes = []
    done = outcome.finished
    if outcome.plan.checked.one("backbone")[1].get("weights") == "none":
        notes.append("the backbone has no pretrained weights (weights: none): nothing is said of transfer")
    if len(outcome.plan.seeds) == 2:
        notes.append("two seeds hardly say how much luck there is in training, so intervals are wide: give 3 or more")
    if any((one.cell.directory / cells.RESUMED).exists() for one in done):
        notes.append("cells that were interrupted do not count in the seconds")
    if len(outcome.plan.fractions) > 1:
        notes.append("epochs are the same for every share of the labels, so fewer labels are fewer steps, too")
    fitted = dict.fromkeys(one.cell.candidate.label for one in done if cells.is_fitted(one.cell))
    if fitted:
        stored = "heads are fitted to stored features, which only the first cell that needs them computes"
        notes.append(f"{', '.join(fitted)}: {stored}; the seconds, medians over seeds, mostly leave that out")
    places = [cells.environment(one.cell) for one in done]
    for name in ("libraries", "device", "threads", "precision"):
        found = {json.dumps(place.get(name), sort_keys=True) for place in places}
        if len(found) > 1:
            notes.append(f"cells were run with different {name}: times, and last digits, cannot be compared")
    return notes


def write(folder: Path, compared: Mapping[str, Any]) -> list[Path]:
    """Write `comparison.json`, and the pictures where matplotlib is installed; return the pictures."""
    write_atomically(folder / "comparison.json", json.dumps(compared, indent=1, allow_nan=False))
    return plots.draw(compared, folder) if plots.is_available() else []
