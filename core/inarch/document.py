"""One YAML loader: values as a person means them, each with the line it stands on.

PyYAML alone reads ``3e-4`` as text, ``no`` as False, ``010`` as 8, ``12:30:00`` as 45000, and keeps the last of two equal
keys. Here scalars follow YAML 1.2: only ``true`` and ``false`` are booleans, and a key given twice is an error.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from inarch.errors import RecipeError

MAX_BYTES = 1_000_000

Key = tuple[str | int, ...]

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """A mapping read from YAML, and the line (from 1) of every key in it."""

    source: str
    data: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)
    overridden: set[Key] = field(default_factory=set)

    def where(self, key: Key) -> str:
        """Name the file, the line and the key, for an error message."""
        dotted = ".".join(str(part) for part in key)
        if any(key[: len(override)] == override for override in self.overridden):
            return f"override {dotted}"
        known = key
        while known and known not in self.lines:
            known = known[:-1]
        line = f", line {self.lines[known]}" if known in self.lines else ""
        return f"{self.source}{line}: {dotted}" if dotted else f"{self.source}{line}"


def load(path: Path) -> Document:
    """Read a file whose top level is a mapping."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(f"{path}: larger than {MAX_BYTES:,} bytes; is this a recipe?")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror or error}") from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Document:
    """Read text whose top level is a mapping; `source` names it in messages."""
    lines: dict[Key, int] = {}
    data = _read(text, source, lines)
    if not isinstance(data, dict):
        raise RecipeError(f"{source}: expected 'key: value' lines at the top, found {_describe(data)}")
    return Document(source, data, lines)


def parse_value(text: str, source: str) -> Any:
    """Read one value, such as ``3e-4`` or ``[a, b]``, by the rules that hold in a file."""
    return _read(text, source, {})


def _read(text: str, source: str, lines: dict[Key, int]) -> Any:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{source}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise RecipeError(f"{source}: nested too deeply") from None
    return None if node is None else _build(node, (), source, lines, set())


def _build(node: yaml.Node, key: Key, source: str, lines: dict[Key, int], seen: set[int]) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(key, line)
    if id(node) in seen:
        raise RecipeError(f"{source}, line {line}: anchors and aliases (& and *) are not allowed; write the value out")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*key, index), source, lines, seen) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, key, source, lines, seen)
    if not isinstance(node, yaml.ScalarNode) or not node.tag.startswith("tag:yaml.org,2002:"):
        raise RecipeError(f"{source}, line {line}: the tag '{node.tag}' is not allowed in a recipe")
    return node.value if node.style else scalar(node.value)


def _mapping(node: yaml.MappingNode, key: Key, source: str, lines: dict[Key, int], seen: set[int]) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise RecipeError(f"{source}, line {line}: a key must be a single word")
        name = key_node.value
        if name in result:
            raise RecipeError(f"{source}, line {line}: the key '{name}' is given twice (first in line {lines[(*key, name)]})")
        lines[(*key, name)] = line
        result[name] = _build(value_node, (*key, name), source, lines, seen)
    return result


def scalar(text: str) -> Any:
    """Read an unquoted scalar by YAML 1.2's core schema."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _describe(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r}"[:60]
