"""The one validator: values from a recipe against the annotations of Python code.

A dataclass or a builder's signature is the schema; nothing is written twice. `convert` knows the types that a recipe
can hold: numbers, text, booleans, paths, choices (``Literal``), optional values, lists, mappings, dataclasses of these,
numbers with limits, ``Annotated[float, Range(0, 1)]``, and addresses of files, ``Annotated[str, Address()]``.
"""

import dataclasses
import inspect
import os
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from inarch.document import Document, Key
from inarch.errors import RecipeError, unknown


@dataclasses.dataclass(frozen=True)
class Range:
    """The limits of a number, both allowed; a limit that is not is called `above` or `below`."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        """Say whether a number is within the limits; inf and nan never are."""
        return (
            abs(value) < float("inf")
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {limit:g}" for word, limit in words.items() if limit is not None)


@dataclasses.dataclass(frozen=True)
class Address:
    """Marks text that is the path of a file or folder, or package:DIST/FILE.

    A relative path is made absolute from the current folder, so that a run means the same data wherever it is read.
    """

    def resolve(self, text: str) -> str:
        """Return the address; a path as an absolute one."""
        return text if not text or text.startswith("package:") else os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111


_LISTS: tuple[Any, ...] = (list, tuple, Sequence)


def convert(value: Any, annotation: Any, document: Document, key: Key) -> Any:
    """Return `value` as `annotation` says, or raise RecipeError naming file, line, key and what is allowed."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(value, arguments, document, key)
    if origin is Annotated:
        return _convert_limited(value, annotation, document, key)
    if origin is Literal:
        return _convert_choice(value, arguments, document, key)
    if dataclasses.is_dataclass(annotation):
        return _convert_dataclass(value, annotation, document, key)
    if origin in _LISTS:
        return _convert_list(value, origin, arguments, document, key)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _mismatch(value, annotation, document, key)
        return {name: convert(item, arguments[1], document, (*key, name)) for name, item in value.items()}
    return _convert_plain(value, annotation, document, key)


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return what a recipe may write beside a component's name: the builder's keyword-only parameters, typed."""
    options = {}
    for option in inspect.signature(function).parameters.values():
        if option.kind is not option.KEYWORD_ONLY:
            continue
        annotation = option.annotation
        if annotation is option.empty:
            raise TypeError(f"the option '{option.name}' of {function.__qualname__} has no annotation")
        if isinstance(annotation, str):  # written under `from __future__ import annotations`
            annotation = eval(annotation, inspect.unwrap(function).__globals__)
        options[option.name] = option.replace(annotation=annotation)
    return options


def bind(function: Callable[..., Any], options: Mapping[str, Any], document: Document, key: Key) -> dict[str, Any]:
    """Return `options` converted for `function`, with its defaults filled in; raise on unknown or missing ones."""
    accepted = parameters(function)
    for name in options:
        if name not in accepted:
            raise RecipeError(f"{document.where((*key, name))}: {unknown('option', name, accepted)}")
    result = {}
    for name, option in accepted.items():
        if name in options:
            result[name] = convert(options[name], option.annotation, document, (*key, name))
        elif option.default is inspect.Parameter.empty:
            raise RecipeError(f"{document.where(key)}: the option '{name}' ({spell(option.annotation)}) is required")
        else:
            result[name] = option.default
    return result


def plain(value: Any) -> Any:
    """Turn a converted value back into what YAML or JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def spell(annotation: Any) -> str:
    """Name a type in the words of a recipe: 'number', 'true or false', 'one of a, b'."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = [str(limit) for limit in arguments[1:] if isinstance(limit, Range)]
        return " ".join([spell(arguments[0]), *limits])
    if origin is Literal:
        return "one of " + ", ".join(word(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(spell(argument) for argument in arguments)
    if origin in _LISTS:
        if origin is tuple and Ellipsis not in arguments:
            return f"a list of {len(arguments)} values"
        return f"a list ({spell(arguments[0])} each)" if arguments else "a list"
    if origin in (dict, Mapping) or dataclasses.is_dataclass(annotation):
        return "a mapping"
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        Path: "a path",
        types.NoneType: "none",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _convert_union(value: Any, arguments: tuple[Any, ...], document: Document, key: Key) -> Any:
    if types.NoneType in arguments and (value is None or value == "none"):
        return None
    rest = [argument for argument in arguments if argument is not types.NoneType]
    wraps = not isinstance(value, list | tuple)  # a list accepts one value in place of many, so it is asked last
    rest.sort(key=lambda argument: (wraps and get_origin(argument) in _LISTS, argument in (str, Path)))
    failure: RecipeError | None = None
    for argument in rest:
        try:
            return convert(value, argument, document, key)
        except RecipeError as error:
            deeper = _may_hold(argument, value)
            failure = error if deeper or len(rest) == 1 else failure
    raise failure or _mismatch(value, Union[arguments], document, key)  # noqa: UP007  (a tuple of types)


def _may_hold(annotation: Any, value: Any) -> bool:
    """Say whether the outer type fits, so that the mistake is inside: then its own message is the better one."""
    kind = get_origin(annotation)
    if isinstance(value, Mapping):
        return kind in (dict, Mapping) or dataclasses.is_dataclass(annotation)
    if isinstance(value, list | tuple):
        return kind in _LISTS
    limited = kind is Annotated and isinstance(value, int | float) and not isinstance(value, bool)
    return limited or (kind is Literal and isinstance(value, str))


def _convert_limited(value: Any, annotation: Any, document: Document, key: Key) -> Any:
    kind, *limits = get_args(annotation)
    converted = convert(value, kind, document, key)
    if any(isinstance(limit, Range) and converted not in limit for limit in limits):
        raise _mismatch(value, annotation, document, key)
    return next((limit.resolve(converted) for limit in limits if isinstance(limit, Address)), converted)


def _convert_choice(value: Any, choices: tuple[Any, ...], document: Document, key: Key) -> Any:
    value = "none" if value is None else value
    for choice in choices:
        if value == choice and type(value) is type(choice):
            return choice
    raise RecipeError(f"{document.where(key)}: {unknown('value', word(value), [word(c) for c in choices])}")


def _convert_dataclass(value: Any, kind: Any, document: Document, key: Key) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(value, kind, document, key)
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for name in value:
        if name not in fields:
            raise RecipeError(f"{document.where((*key, name))}: {unknown('key', name, fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise RecipeError(f"{document.where(key)}: the key '{name}' ({spell(hints[name])}) is required")
    arguments = {name: convert(item, hints[name], document, (*key, name)) for name, item in value.items()}
    try:
        return kind(**arguments)
    except ValueError as error:  # a dataclass checks its own ranges, and starts its message with the field's name
        name = str(error).split(" ", 1)[0]
        raise RecipeError(f"{document.where((*key, name) if name in fields else key)}: {error}") from None


def _convert_list(value: Any, origin: Any, arguments: tuple[Any, ...], document: Document, key: Key) -> Any:
    items = value if isinstance(value, list | tuple) else [value]
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(items) != len(arguments) or not isinstance(value, list | tuple):
            raise RecipeError(f"{document.where(key)}: expected a list of {len(arguments)} values, found {value!r}")
        return tuple(convert(v, a, document, (*key, i)) for i, (v, a) in enumerate(zip(items, arguments, strict=True)))
    keys = [(*key, index) for index in range(len(items))] if items is value else [key]
    converted = [convert(item, arguments[0], document, place) for place, item in zip(keys, items, strict=True)]
    return tuple(converted) if origin is tuple else converted


def _convert_plain(value: Any, annotation: Any, document: Document, key: Key) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is float and number:
        return float(value)
    if annotation is Path and isinstance(value, str | Path) and str(value):
        return Path(value)
    if annotation is str and number:
        return document.texts.get(key, str(value))
    if (
        isinstance(annotation, type)
        and isinstance(value, annotation)
        and isinstance(value, bool) == (annotation is bool)
    ):
        return value
    raise _mismatch(value, annotation, document, key)


def _mismatch(value: Any, annotation: Any, document: Document, key: Key) -> RecipeError:
    hint = "; put quotes around it if it is text" if annotation is str and isinstance(value, bool | None) else ""
    return RecipeError(f"{document.where(key)}: expected {spell(annotation)}, found '{word(value)[:80]}'{hint}")


def word(value: Any) -> str:
    """Write a value as a recipe would."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
