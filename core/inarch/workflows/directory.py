"""The run directory: which one, and whether it may be used."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inarch import document, recipe
from inarch.checkpoint import is_leftover, mend, write_atomically
from inarch.errors import RecipeError, RunError
from inarch.recipe import Recipe
from inarch.workflows import lock
from inarch.workflows.lock import locked as locked
from inarch.workflows.manifest import unseal

Data = Mapping[str, Mapping[str, Any]]

RECIPE, DATA = "recipe.yaml", "data.json"


def choose(wanted: Path | None, name: str, resume: bool) -> Path:
    """Return the directory of a run: `wanted`, or runs/NAME, numbered where it is taken and not being resumed."""
    if wanted:
        return wanted
    first = Path("runs") / name
    taken = [path for path in [first, *(Path(f"{first}-{number}") for number in range(2, 10_000))] if path.exists()]
    if resume:
        return taken[-1] if taken else first
    return first if not taken else next(p for n in range(2, 10_001) if not (p := Path(f"{first}-{n}")).exists())


def refuse_taken(directory: Path, wanted: Recipe, resume: bool, backbone: bool = True, name: str = RECIPE) -> bool:
    """Return whether the directory holds this run, to be resumed; raise if it holds anything else.

    backbone: the backbone's options are all known; before it is built, they are as the recipe gives them.
    name: the file with the recipe; a comparison's is called otherwise.
    """
    if _is_unused(directory):
        return False
    kind = "run" if name == RECIPE else "comparison"
    if not (directory / name).is_file():
        raise RunError(f"{directory} is not empty and holds no {kind}; choose another --out")
    stored, new = recipe_of(directory, name).plain(), wanted.plain()
    if resume:  # what does not change the training's meaning may help it to go on
        stored["train"].update({key: new["train"][key] for key in ("workers", "micro_batch_size", "non_finite")})
    if not backbone and resume:
        del stored["backbone"], new["backbone"]
    elif not backbone:
        given = {"name": wanted.backbone.name, **wanted.backbone.options}
        new["backbone"], stored["backbone"] = given, {key: stored["backbone"].get(key) for key in given}
    difference = _difference(stored, new)
    if difference:
        hint = "resume with the same recipe, or choose another --out" if resume else "choose another --out"
        raise RunError(f"{directory} already holds a different {kind} ({difference}); {hint}")
    if not resume:
        raise RunError(f"{directory} already holds this run; continue it with --resume, or choose another --out")
    return True


def open_for(directory: Path, resolved: Recipe, resume: bool, data: Data, name: str = RECIPE) -> None:
    """Make the run directory, or accept an existing one to resume; never touch one that holds something else.

    What a crash left half-written in it is put right, and it counts as not ended until its manifest is written again.
    """
    if refuse_taken(directory, resolved, resume, name=name):
        refuse_other_data(directory, data)
        mend(directory)
        unseal(directory)
        write_atomically(directory / name, resolved.to_yaml())
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{directory}: {error.strerror or error}") from None
    mend(directory)
    write_atomically(directory / DATA, json.dumps(data, indent=1))
    write_atomically(directory / name, resolved.to_yaml())


def _is_unused(directory: Path) -> bool:
    """Say whether a directory is missing, or empty but for what is left of a run that ended before it began."""
    try:
        if not directory.is_dir():
            return not directory.exists()
        return all(path.name == lock.NAME or is_leftover(path) or _is_data(path) for path in directory.iterdir())
    except OSError as error:
        raise RunError(f"{directory}: {error.strerror or error}") from None


def _is_data(path: Path) -> bool:
    """Say whether a file is the one that `open_for` writes first."""
    try:
        found = json.loads(path.read_bytes()) if path.name == DATA else {}
        return bool(found) and all(entry.keys() == {"examples", "sha256"} for entry in found.values())
    except (OSError, ValueError, AttributeError):
        return False


def refuse_other_data(directory: Path, data: Data) -> None:
    """Raise if a split is not the one that the run was trained or tested with: its figures would mean nothing."""
    try:
        stored = json.loads((directory / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{directory / DATA}: cannot be read, so the run's data is not known: {error}") from None
    for split, now in data.items():
        then = stored.get(split)
        if then != now:
            before = f"{then['examples']} examples" if then else "no such split"
            raise RunError(
                f"{directory}: the data is not what this run was made with: {split} had {before}, now it has "
                f"{now['examples']}" + (" others" if then and then["examples"] == now["examples"] else "")
            )


def recipe_of(directory: Path, name: str = RECIPE) -> Recipe:
    """Read the recipe that a run wrote."""
    if not (directory / name).is_file():
        raise RunError(f"{directory}: no run here; expected a folder with a {name}")
    try:
        return recipe.parse(document.load(directory / name))
    except RecipeError as error:
        raise RunError(f"the recipe of the run cannot be read: {error}") from None


def _difference(stored: Any, wanted: Any, key: str = "") -> str | None:
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in [*stored, *(name for name in wanted if name not in stored)]:
            found = _difference(stored.get(name), wanted.get(name), f"{key}.{name}" if key else str(name))
            if found:
                return found
        return None
    return None if stored == wanted else f"{key}: {stored!r} there, {wanted!r} here"
