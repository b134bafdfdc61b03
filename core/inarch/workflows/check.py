"""Everything that can be verified without training. Light: imports no torch."""

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from inarch import plugins
from inarch import source as sources
from inarch.data import splits
from inarch.errors import DataError, RecipeError, RunError, WeightsError, listing, unknown
from inarch.interfaces.dataset import Dataset, Rows, Stream, Targets
from inarch.interfaces.strategy import Strategy
from inarch.plugins import Entry
from inarch.recipe import Component, Recipe
from inarch.source import Source
from inarch.workflows.fitness import refuse_misfit

MOST_TOLD = 20  # classes whose counts are told one by one


@dataclass(frozen=True)
class Checked:
    """A recipe that holds: its components found, its data read, its targets understood."""

    recipe: Recipe
    components: Mapping[str, list[tuple[Entry, dict[str, Any]]]]
    """Kind (`dataset`, `backbone`, `head`, `strategy`, `metrics`) to entries with their converted options."""
    dataset: Dataset
    targets: Targets
    skipped: Mapping[str, list[str]]
    """Split to the places and reasons of rows that cannot be read, where the recipe says `on_error: skip`."""
    source: Source | None = None
    """The run's bundle that the backbone begins from; None: it does not begin from one."""

    def resolved(self) -> Recipe:
        """Return the recipe with the defaults of its components written out; the backbone knows its own when built."""
        written = {key: [Component(e.name, options) for e, options in found] for key, found in self.components.items()}
        single = {key: written[key][0] for key in ("dataset", "head", "strategy")}
        return replace(self.recipe, metrics=tuple(written["metrics"]), **single)  # type: ignore[arg-type]

    def fingerprints(self) -> dict[str, dict[str, Any]]:
        """Return for each split how many examples it has, and a hash of their inputs and targets, in order."""
        return {split: _fingerprint(self.dataset, rows) for split, rows in self.dataset.splits.items()}

    def one(self, kind: str) -> tuple[Entry, dict[str, Any]]:
        """Return the component of a kind that a recipe has once."""
        return self.components[kind][0]


def check(recipe: Recipe) -> Checked:
    """Check components, options, data, targets, metrics and inputs, or raise the first mistake found."""
    components = plugins.check(recipe)
    strategy: Strategy = plugins.build(*components["strategy"][0])
    source = _find_source(recipe, components, strategy.random_weights)
    dataset: Dataset = plugins.build(*components["dataset"][0])
    _refuse_empty(dataset)
    head, options = components["head"][0]
    dataset, skipped = _verify_inputs(splits.complete(dataset, recipe.splits), components["backbone"][0][0], recipe)
    _refuse_empty(dataset)
    targets = _read_targets(head, options, dataset)
    _check_options(recipe, recipe.head, head, options, targets)
    _check_metrics(recipe, components["metrics"], targets, head)
    _check_best_metric(recipe, dataset)
    refuse_misfit(recipe, strategy, head, dataset, targets)
    return Checked(recipe, components, dataset, targets, skipped, source)


def _fingerprint(dataset: Dataset, rows: Any) -> dict[str, Any]:
    if isinstance(rows, Stream):
        return {"examples": len(rows), "sha256": None}
    digest = hashlib.sha256()
    for values in zip(*(rows.column(name) for name in (*dataset.inputs, dataset.target)), strict=True):
        digest.update(repr(values).encode())
    return {"examples": len(rows), "sha256": digest.hexdigest()}


def summary(checked: Checked) -> list[str]:
    """Return what was found, in sentences: the data, each split with its classes and their counts, what is left out."""
    lines = [f"data: {checked.dataset.origin}", *checked.dataset.notes, *checked.targets.notes]
    for split, rows in checked.dataset.splits.items():
        told = _tell(dict(zip(checked.targets.classes, checked.targets.counts.get(split, ()), strict=False)))
        skipped = len(checked.skipped.get(split, ()))
        lines.append(
            f"{split}: {len(rows):,} examples"
            + (f" ({told})" if told else "")
            + (f", {skipped} skipped" if skipped else "")
        )
    if checked.source:
        trained = f"trained by '{checked.source.description.get('recipe')}'"
        lines.append(f"source model: {checked.source.directory}, {trained}")
    return lines


def _tell(counts: Mapping[str, int]) -> str:
    if len(counts) > MOST_TOLD:
        return f"{len(counts)} classes, {min(counts.values()):,} to {max(counts.values()):,} of each"
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _refuse_empty(dataset: Dataset) -> None:
    for split, rows in dataset.splits.items():
        if not len(rows):
            raise DataError(f"{dataset.origin}: the split '{split}' is empty")


def _read_targets(head: Entry, options: dict[str, Any], dataset: Dataset) -> Targets:
    """Read the targets as the head means them; where that depends on its options, `read` has a parameter for them."""
    read = head.facts["read"]
    given = {"options": options} if "options" in inspect.signature(read).parameters else {}
    targets: Targets = read(dataset, **given)
    return targets


def _check_options(
    recipe: Recipe, component: Component, entry: Entry, options: dict[str, Any], targets: Targets
) -> None:
    """Ask a head or metric whether it fits the targets; its ValueError may start with the name of an option."""
    try:
        if entry.facts["verify"]:
            entry.facts["verify"](targets, options)
    except ValueError as error:
        option, _, said = str(error).partition(" ")
        key, told = ((*component.key, option), said) if option in options else (component.key, str(error))
        raise RecipeError(f"{recipe.document.where(key)}: {told}") from None


def _find_source(recipe: Recipe, components: dict[str, Any], random: bool) -> Source | None:
    """Look for the file of weights or the source model; whether they fit is known once the backbone is built.

    The backbone's options become what they are on top of the source model, also for a control whose weights are random.
    """
    entry, options = components["backbone"][0]
    try:
        source = sources.find(options.get("weights"))
        if source:
            source.refuse_other(entry.name, options)
    except (RunError, WeightsError) as error:
        if random:
            return None
        raise type(error)(f"{recipe.document.where(('backbone', 'weights'))}: {error}") from None
    if source:
        components["backbone"] = [(entry, source.options(options))]
    return None if random else source


def _check_metrics(recipe: Recipe, metrics: list[tuple[Entry, dict[str, Any]]], targets: Targets, head: Entry) -> None:
    able = [e.name for e in plugins.loaded().components["metrics"].values() if targets.kind in e.facts["kinds"]]
    for component, (entry, options) in zip(recipe.metrics, metrics, strict=True):
        if targets.kind not in entry.facts["kinds"]:
            told = f"'{entry.name}' measures {listing(entry.facts['kinds'])}, but '{head.name}' predicts {targets.kind}"
            where = recipe.document.where(component.key)
            raise RecipeError(f"{where}: the metric {told}. Allowed: {listing(sorted(able))}.")
        _check_options(recipe, component, entry, options, targets)


def _check_best_metric(recipe: Recipe, dataset: Dataset) -> None:
    if recipe.train.early_stopping and "valid" not in dataset.splits:
        raise RecipeError("train.early_stopping needs a valid split; set splits.valid above 0 or bring one")


def _verify_inputs(dataset: Dataset, backbone: Entry, recipe: Recipe) -> tuple[Dataset, dict[str, list[str]]]:
    """Look at every input as far as the backbone's plugin can without loading anything heavy."""
    kept, skipped = dict(dataset.splits), {}
    for split, rows in dataset.splits.items():
        _refuse_unknown_input(dataset, split, rows)
        if isinstance(rows, Stream):
            continue
        unreadable = _unreadable(dataset, rows, backbone)
        if recipe.on_error == "error" and (first := next(unreadable, None)):
            raise DataError(f"{rows.where(first[0])}: {first[1]} (on_error: skip would leave it out)")
        bad = {index: f"{rows.where(index)}: {why}" for index, why in unreadable}
        if bad:
            refuse_many(list(bad.values()), len(rows), recipe)
            kept[split] = rows.select([index for index in range(len(rows)) if index not in bad])
            skipped[split] = list(bad.values())
    return replace(dataset, splits=kept), skipped


def _refuse_unknown_input(dataset: Dataset, split: str, rows: Rows | Stream) -> None:
    for name in dataset.inputs:
        if name not in rows.columns:
            raise DataError(f"{dataset.origin}: {split}: {unknown('input column', name, rows.columns)}")


def _unreadable(dataset: Dataset, rows: Rows, backbone: Entry) -> Iterator[tuple[int, str]]:
    verify = backbone.facts["verify"] or (lambda raw: None)
    names = dataset.inputs
    for index, values in enumerate(zip(*map(rows.column, names), strict=True)):
        row = dict(zip(names, values, strict=True))
        try:
            _refuse_missing(row)
            verify(dataset.raw(row))
        except (OSError, ValueError) as error:
            yield index, str(error)


def _refuse_missing(row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        if value is None:
            raise ValueError("the input is missing" if len(row) == 1 else f"the part '{name}' of the input is missing")


def refuse_many(skipped: list[str], total: int, recipe: Recipe) -> None:
    """Stop if more examples cannot be read than the recipe's `error_limit` allows."""
    if len(skipped) > recipe.error_limit * total:
        raise DataError(
            f"{len(skipped)} of {total} examples cannot be read, more than error_limit {recipe.error_limit:g} allows; "
            f"the first: {skipped[0]}"
        )
