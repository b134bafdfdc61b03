"""How a recipe writes classes: a list of names in order, or names with the raw values that each one joins."""

from collections.abc import Mapping, Sequence

from inarch.errors import RecipeError

Classes = list[str] | dict[str, list[str]]


def normalise(classes: Classes | None) -> Mapping[str, Sequence[str]] | None:
    """Return class name to raw values, or None; a raw value in two classes is an error."""
    if classes is None:
        return None
    result = {name: [name] for name in classes} if isinstance(classes, list) else dict(classes)
    owner: dict[str, str] = {}
    for name, values in result.items():
        for value in values:
            if value in owner:
                raise RecipeError(f"dataset.classes: the value '{value}' is in '{owner[value]}' and in '{name}'")
            owner[value] = name
    return result
