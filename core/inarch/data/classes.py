"""How recipes write classes: names in order, or names with the raw values that each joins. How rows write labels."""

from collections.abc import Mapping, Sequence
from typing import Any

from inarch.errors import RecipeError

Classes = list[str] | dict[str, list[str]]

SEPARATOR = ";"


def normalise(classes: Classes | None) -> Mapping[str, Sequence[str]] | None:
    """Return class name to raw values, or None; a raw value in two classes is an error."""
    if classes is None:
        return None
    result = {name: [name] for name in classes} if isinstance(classes, list) else dict(classes)
    if not result:
        raise RecipeError("dataset.classes: names no class")
    owner: dict[str, str] = {}
    for name, values in result.items():
        for value in values:
            if value in owner:
                raise RecipeError(f"dataset.classes: the value '{value}' is in '{owner[value]}' and in '{name}'")
            owner[value] = name
    return result


def split_labels(value: Any) -> list[str]:
    """Return the labels of one example, each once: the items of a list, or of text separated by semicolons."""
    items = value if isinstance(value, list | tuple) else str(value).split(SEPARATOR)
    return list(dict.fromkeys(label for item in items if (label := str(item).strip())))
