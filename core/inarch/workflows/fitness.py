"""Whether a strategy suits the head, the splits and the bundles that it names. Light: imports no torch."""

import json
from pathlib import Path

from inarch.errors import RecipeError, RunError, listing
from inarch.interfaces.dataset import Dataset, Targets
from inarch.interfaces.strategy import Strategy
from inarch.plugins import Entry
from inarch.recipe import Recipe

DESCRIPTION = "bundle.json"


def refuse_misfit(recipe: Recipe, strategy: Strategy, head: Entry, dataset: Dataset, targets: Targets) -> None:
    """Raise RecipeError or RunError for what would only be found once the model is built."""
    where, name = recipe.document.where(recipe.strategy.key), recipe.strategy.name
    ladder = strategy.ladder(recipe.train)
    if (strategy.combines or ladder) and "valid" not in dataset.splits:
        told = "a ladder chooses by valid" if ladder else f"the strategy '{name}' chooses weights on valid"
        raise RecipeError(f"{where}: {told}, and there is no such split; set splits.valid above 0 or bring one")
    if not head.facts["trained"] and not strategy.fits_head:
        what = (
            "write head: classifier, which it tries beside it"
            if ladder
            else "write strategy: linear_probe, with solver: features"
        )
        raise RecipeError(f"{where}: the head '{head.name}' has nothing that steps could train; {what}")
    for key, folder in [("teacher", strategy.teacher or ""), *(("runs", run) for run in strategy.runs)]:
        if folder:
            _refuse_bundle(key, Path(folder), recipe, targets)


def _refuse_bundle(key: str, folder: Path, recipe: Recipe, targets: Targets) -> None:
    """Refuse a folder without a bundle, a run of another backbone, and a head, of the same name, of other classes."""
    inside = folder / "model" / DESCRIPTION
    place = folder / DESCRIPTION if key == "teacher" and not inside.is_file() else inside
    if not place.is_file():
        bundle = f", or a folder such as runs/NAME/model that holds {DESCRIPTION}" if key == "teacher" else ""
        raise RunError(f"strategy.{key}: {folder}: no bundle here; expected a finished run{bundle}")
    try:
        described = json.loads(place.read_text(encoding="utf-8"))
        there, backbone, head = (
            described["targets"]["classes"],
            described["backbone"]["name"],
            described["head"]["name"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return  # it is damaged, as opening it will say
    if key == "runs" and backbone != recipe.backbone.name:
        found = f"backbone.name: {backbone!r} there, {recipe.backbone.name!r} here"
        raise RunError(f"strategy.runs: {folder} cannot be averaged with this run: it has {found}")
    if head == recipe.head.name and {*there} != {*targets.classes}:
        here = listing(targets.classes)
        raise RunError(f"strategy.{key}: {folder} does not fit: it has the classes {listing(there)} there, {here} here")
