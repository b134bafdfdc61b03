"""The cells of a comparison: a strategy with a seed, and perhaps a share of the labels; each is an ordinary run."""

import json
import re
import shutil
import traceback
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inarch import document as documents
from inarch import plugins, recipe
from inarch.document import Document
from inarch.errors import InarchError, RecipeError, RunError
from inarch.recipe import Component, Recipe
from inarch.training.progress import Progress
from inarch.workflows import directory as directories
from inarch.workflows.check import Checked

RESUMED = "resumed"  # a file in a cell that was interrupted: its seconds are those of its last stretch


@dataclass(frozen=True)
class Candidate:
    """A strategy that is compared."""

    label: str
    name: str
    options: Mapping[str, Any]
    changes: Mapping[str, Any]
    """What it changes of the recipe's `train`: ``{"train.learning_rate": 4e-3}``."""
    random_weights: bool

    def recipe(self, base: Recipe, changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe with this strategy, and with changes of other keys."""
        return _with(base, self.label, {"name": self.name, **self.options}, {**self.changes, **changes})


@dataclass(frozen=True)
class Cell:
    """One run of a comparison."""

    candidate: Candidate
    seed: int
    fraction: float
    recipe: Recipe
    directory: Path

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return f"{self.candidate.label}, seed {self.seed}" + (
            f", {self.fraction:g} of the labels" * (self.fraction < 1)
        )


def settle(parsed: Recipe) -> Recipe:
    """Check a recipe's components; return it with their options converted, apart from its lines and spellings."""
    found = {key: list(entries) for key, entries in plugins.check(parsed).items()}
    settled: dict[str, list[Component]] = {}
    for key, component in parsed.components():
        _, options = found[key].pop(0)
        given = {name: options[name] for name in component.options}
        settled.setdefault(key, []).append(Component(component.name, given, component.key))
    single = {key: settled[key][0] for key in recipe.SINGLE}
    return replace(parsed, metrics=tuple(settled["metrics"]), **single)  # type: ignore[arg-type]


def candidates(base: Recipe, wanted: str | Sequence[str | Mapping[str, Any]]) -> list[Candidate]:
    """Return the strategies of a list, or of text as on the command line: ``scratch,{name: full, layer_decay: 0.8}``.

    A name alone has those of the options of the recipe's own strategy that it knows, if it begins from pretrained
    weights; a mapping stands for itself. Its keys with a dot change the recipe's `train` for this strategy alone.
    """
    if isinstance(wanted, str):
        wanted = documents.parse(f"strategies: [{wanted}]", "--strategies").data["strategies"]
    found = [_candidate(base, one) for one in wanted]
    for one in found:
        if [other.label for other in found].count(one.label) > 1:
            raise RecipeError(f"--strategies: '{one.label}' is listed twice")
    return found


def _candidate(base: Recipe, wanted: Any) -> Candidate:
    if isinstance(wanted, str) and wanted:
        return _named(base, wanted)
    if not isinstance(wanted, Mapping) or not isinstance(wanted.get("name"), str):
        raise RecipeError(f"--strategies: expected names, or {{name: full, layer_decay: 0.8}}, found {wanted!r}")
    changes = {key: value for key, value in wanted.items() if "." in key}
    for key in changes:
        if not key.startswith("train."):
            raise RecipeError(f"--strategies: '{key}': of the recipe, only keys of 'train' may differ")
    options = {key: value for key, value in wanted.items() if key != "name" and key not in changes}
    written = ", ".join(f"{key}={value}" for key, value in {**options, **changes}.items())
    label = f"{wanted['name']} ({written})" if written else wanted["name"]
    return _checked(base, Candidate(label, wanted["name"], options, changes, False))


def _named(base: Recipe, name: str) -> Candidate:
    alone = _checked(base, Candidate(name, name, {}, {}, False))
    if alone.random_weights and name != base.strategy.name:
        return alone
    known = plugins.check(alone.recipe(base, {}))["strategy"][0][1]
    shared = {key: value for key, value in base.strategy.options.items() if key in known}
    return _checked(base, Candidate(name, name, shared, {}, False))


def _checked(base: Recipe, candidate: Candidate) -> Candidate:
    """Check a strategy and its options, and ask it whether it wants pretrained weights."""
    entry, options = plugins.check(candidate.recipe(base, {}))["strategy"][0]
    random_weights = bool(plugins.build(entry, options).random_weights)
    return Candidate(candidate.label, candidate.name, candidate.options, candidate.changes, random_weights)


def _with(base: Recipe, label: str, strategy: Mapping[str, Any], changes: Mapping[str, Any]) -> Recipe:
    data = deepcopy(base.plain())
    data["strategy"] = dict(strategy)
    return recipe.parse(Document(f"--strategies, {label}", data), changes)


def plan(
    base: Recipe, found: Sequence[Candidate], seeds: Sequence[int], fractions: Sequence[float], out: Path, labels: int
) -> list[Cell]:
    """Return the cells, seed by seed, so that whatever is finished compares all strategies.

    labels: examples in train. With shares of them, each seed draws its own examples, and smaller shares are parts of
    larger ones: which examples happen to be labelled belongs to the uncertainty of the curve. Valid and test stay.
    """
    cells = []
    for seed in seeds:
        for fraction in sorted(fractions, reverse=True):
            changes = {"seed": seed, **_share(base, fraction, seed, labels, len(fractions) > 1)}
            name = f"seed-{seed}" if "splits.draw" not in changes else f"fraction-{fraction:g}-seed-{seed}"
            for one in found:
                folder = re.sub(r"[^\w.=-]+", "-", one.label).strip("-")
                cells.append(Cell(one, seed, fraction, one.recipe(base, changes), out / "cells" / folder / name))
    return cells


def _share(base: Recipe, fraction: float, seed: int, labels: int, several: bool) -> dict[str, Any]:
    """Return how a recipe says that a share of its examples is kept."""
    splits = base.splits
    if fraction == 1 and not (several and (splits.examples or splits.per_class)):
        return {}
    if splits.per_class:
        size, key = round(fraction * splits.per_class), "splits.per_class"
    else:
        size, key = round(fraction * (splits.examples or labels)), "splits.examples"
    if size < 1:
        raise RecipeError(f"--fractions: {fraction:g} of {labels:,} examples is none")
    return {key: size, "splits.draw": seed}


def train_cell(cell: Cell, checked: Checked, main: bool, progress: Progress) -> str | None:
    """Train a cell, from where it was interrupted if it was; return why it failed, or None."""
    from inarch.workflows.train import train_checked  # brings torch

    begun = (cell.directory / directories.RECIPE).is_file()
    if main and not begun and cell.directory.exists():
        shutil.rmtree(cell.directory)  # interrupted before it was a run
    if main and begun:
        (cell.directory / RESUMED).touch()
    try:
        train_checked(checked, cell.directory, begun, progress)
    except InarchError as error:
        return str(error)
    except Exception as error:
        if main and cell.directory.is_dir():
            (cell.directory / "failure.txt").write_text(traceback.format_exc(), encoding="utf-8")
        return f"{type(error).__name__}: {error}"
    if main:
        shutil.rmtree(cell.directory / "checkpoints", ignore_errors=True)  # they are for going on; the bundle stays
    return None


def results(cell: Cell, checked: Checked) -> dict[str, Any] | None:
    """Return what a finished cell wrote, or None; raise RunError if another recipe's run is in its place."""
    path = cell.directory / "results.json"
    if not path.is_file():
        return None
    directories.refuse_taken(cell.directory, checked.resolved(), resume=True, backbone=False)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found["metrics"], found["seconds"], found["parameters"]["trained"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def answers_path(cell: Cell, split: str) -> Path:
    """Return where a cell's answers are."""
    return cell.directory / "predictions" / f"{split}.safetensors"


def environment(cell: Cell) -> dict[str, Any]:
    """Return what a finished cell says of its environment."""
    path = cell.directory / "environment.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None
    return found


def is_fitted(cell: Cell) -> bool:
    """Say whether a phase of a finished cell fitted the head to stored features."""
    path = cell.directory / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return any("fit" in json.loads(line) for line in lines if line.strip())
