"""What a builder's signature must be, looked at when it is registered: a recipe's options are its own words."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from inarch.document import Document
from inarch.errors import PluginError, RecipeError, listing
from inarch.schema import convert, parameters

GIVEN: Mapping[str, Sequence[str]] = {"heads": ("targets", "num_features"), "metrics": ("targets",)}
"""What the core hands to the builders of a kind, by position."""
_NOWHERE = Document("", {})


def refuse_builder(build: Callable[..., Any], kind: str) -> None:
    """Raise PluginError, saying what to write, if the recipe could not hold or the core not call what a builder takes.

    `size` without a type; `size: int = "x"`; `*args`, `**kwargs`; an option that is not keyword-only.
    """
    where = describe(build)
    if not callable(build):
        raise PluginError(f"the builder must be a function, found {build!r}")
    try:
        taken = list(inspect.signature(build).parameters.values())
    except (TypeError, ValueError):
        raise PluginError(f"{where}: the parameters of the builder cannot be known; wrap it in a function") from None
    _refuse_shape(taken, GIVEN.get(kind, ()), where)
    for option in taken:
        if option.kind is option.KEYWORD_ONLY and option.annotation is option.empty:
            typed = f"{option.name}: {_guess(option)}"
            raise PluginError(f"{where}: the option '{option.name}' has no annotation; write `{typed}`")
    try:
        options = parameters(build)
    except Exception as error:
        raise PluginError(
            f"{where}: an annotation cannot be read: {type(error).__name__}: {error}; the types of options must be "
            "imported when the module is, not under TYPE_CHECKING"
        ) from error
    for option in options.values():
        _refuse_default(option, where)


def describe(build: Any) -> str:
    """Name a function, its file and its line."""
    code = getattr(inspect.unwrap(build) if callable(build) else build, "__code__", None)
    name = getattr(build, "__qualname__", repr(build))
    return f"{name} ({Path(code.co_filename).name}, line {code.co_firstlineno})" if code else name


def _refuse_shape(taken: Sequence[inspect.Parameter], given: Sequence[str], where: str) -> None:
    for parameter in taken:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PluginError(
                f"{where}: the builder takes `{parameter}`; a recipe's options have names and types of their own: "
                "write them out after a `*`"
            )
    positional = [parameter.name for parameter in taken if parameter.kind is not parameter.KEYWORD_ONLY]
    if len(positional) > len(given):
        extra = positional[len(given) :]
        raise PluginError(
            f"{where}: the core hands the builder {listing(given)} by position, so `{listing(extra)}` would never be "
            f"set; options stand after a `*`: `({', '.join([*positional[: len(given)], '*', *extra])})`"
        )
    if len(positional) < len(given):
        raise PluginError(
            f"{where}: the builder is called with {listing(given)} by position and takes {listing(positional)}; "
            f"write `({', '.join([*given, '*', '...'])})`"
        )


def _refuse_default(option: inspect.Parameter, where: str) -> None:
    default = option.default
    if type(default) is option.annotation:
        return
    kinds = (option.annotation, *get_args(option.annotation))
    if default is option.empty or (dataclasses.is_dataclass(default) and type(default) in kinds):
        return
    try:
        convert(default, option.annotation, _NOWHERE, ())
    except RecipeError as error:
        reason = str(error).removeprefix(": ")
        hint = f"; write `{option.name}: {_spelt(option.annotation)} | None = None`" if default is None else ""
        raise PluginError(
            f"{where}: the default of the option '{option.name}' is not what its annotation allows: {reason}{hint}"
        ) from None


def _guess(option: inspect.Parameter) -> str:
    """Return what an option might be written as: its type by its default."""
    if option.default is option.empty or option.default is None:
        return "int"
    return f"{type(option.default).__name__} = {option.default!r}"


def _spelt(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
