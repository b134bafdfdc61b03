"""From what a person types behind --backbones to components that are checked. Light: imports no torch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inarch import document as documents
from inarch import plugins, schema
from inarch.errors import RecipeError, unknown
from inarch.interfaces.candidate import Candidate
from inarch.plugins import Entry
from inarch.recipe import Recipe

OWN = "recipe"
"""What the recipe's own backbone is called."""
_COMMA = re.compile(r",(?![^{]*\})")  # none inside {name: ..., model: ...}


@dataclass(frozen=True)
class Known:
    """A backbone to be ranked: its checked component, and its standing elsewhere."""

    name: str
    entry: Entry
    options: dict[str, Any]
    standing: float | None = None
    measured: str = ""


def split(text: str) -> list[str]:
    """Return the parts of a list with commas; commas in braces part nothing."""
    return [part.strip() for part in _COMMA.split(text) if part.strip()]


def find(recipe: Recipe, wanted: Sequence[str]) -> list[Known]:
    """Return the backbones that are wanted, each once; or raise RecipeError for the first one that cannot be.

    wanted: names that plugins know, @SET, `recipe`, {name: BUILDER, option: value}, or a `model` of the recipe's own
    builder.
    """
    own = plugins.loaded().find("backbones", recipe.backbone.name, recipe.document.where(recipe.backbone.key))
    table = {row.name: (entry, row) for entry in _of_domain(own) for row in (entry.facts["candidates"] or list)()}
    found: dict[str, Known] = {}
    for text in wanted:
        for name in _members(text, table, own) if text.startswith("@") else [text]:
            one = _one(name, recipe, own, table)
            found.setdefault(one.name, one)
    if len(found) < 2:
        raise RecipeError(f"--backbones: a ranking needs at least two backbones, found {', '.join(found) or 'none'}")
    return list(found.values())


def _of_domain(own: Entry) -> list[Entry]:
    entries = plugins.loaded().components["backbones"].values()
    return [entry for entry in entries if entry.facts["domain"] == own.facts["domain"]]


def _members(text: str, table: dict[str, tuple[Entry, Candidate]], own: Entry) -> list[str]:
    sets = sorted({name for _, row in table.values() for name in row.sets})
    if text[1:] not in sets:
        allowed = unknown("set", text, [f"@{name}" for name in sets])
        raise RecipeError(f"--backbones: the domain of '{own.name}' is {own.facts['domain']}: {allowed}")
    return [name for name, (_, row) in table.items() if text[1:] in row.sets]


def _one(text: str, recipe: Recipe, own: Entry, table: dict[str, tuple[Entry, Candidate]]) -> Known:
    if text == OWN:
        return Known(OWN, *plugins.check_component("backbone", recipe.backbone, recipe))
    if text.startswith("{"):
        return _written(text, recipe, own)
    if text in table:
        entry, row = table[text]
        return Known(text, entry, _bind(entry, row.options, recipe, own, text), row.standing, row.measured)
    _refuse_other_domain(text, own)
    if "model" not in schema.parameters(own.build) or ("/" not in text and _near(text, table)):
        raise RecipeError(f"--backbones: {unknown('backbone', text, [OWN, *table])}")
    return Known(text, own, _bind(own, {"model": text}, recipe, own, text))


def _near(text: str, table: dict[str, Any]) -> bool:
    return "Did you mean" in unknown("backbone", text, table)


def _written(text: str, recipe: Recipe, own: Entry) -> Known:
    """Return a backbone that is written as in a recipe, in one line."""
    written = documents.parse(f"backbone: {text}", f"--backbones {text}")
    data = written.data["backbone"]
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise RecipeError(f"--backbones {text}: a component needs 'name: ...'")
    entry = plugins.loaded().find("backbones", data["name"], f"--backbones {text}")
    if entry.facts["domain"] != own.facts["domain"]:
        raise RecipeError(
            f"--backbones {text}: '{entry.name}' is of the domain {entry.facts['domain']}, the recipe's '{own.name}' "
            f"of {own.facts['domain']}"
        )
    options = {name: value for name, value in data.items() if name != "name"}
    return Known(_label(entry, options, recipe), entry, _bind(entry, options, recipe, own, text))


def _label(entry: Entry, options: dict[str, Any], recipe: Recipe) -> str:
    """Name a backbone by what sets it apart from the recipe's own; of paths the last part."""
    own = recipe.backbone.options if entry.name == recipe.backbone.name else {}
    apart = [f"{name}={str(value).rsplit('/', 1)[-1]}" for name, value in options.items() if own.get(name) != value]
    return " ".join([entry.name, *apart])


def _refuse_other_domain(text: str, own: Entry) -> None:
    for entry in plugins.loaded().components["backbones"].values():
        names = [entry.name, *(row.name for row in (entry.facts["candidates"] or list)())]
        if text in names and entry.facts["domain"] != own.facts["domain"]:
            raise RecipeError(
                f"--backbones: '{text}' is of the domain {entry.facts['domain']}, the recipe's '{own.name}' of "
                f"{own.facts['domain']}"
            )


def _bind(entry: Entry, options: Any, recipe: Recipe, own: Entry, text: str) -> dict[str, Any]:
    """Return checked options; those that both builders keep, and that nothing else says, are the recipe's."""
    shared = set(own.facts["keeps"]) & set(entry.facts["keeps"])
    kept = {name: value for name, value in recipe.backbone.options.items() if name in shared}
    return schema.bind(entry.build, {**kept, **options}, documents.Document(f"--backbones {text}", {}), ())
