"""One YAML loader: values as a person means them, each with the line it stands on; and the writer that matches it.

PyYAML alone reads ``3e-4`` as text, ``no`` as False, ``010`` as 8, ``12:30:00`` as 45000, and keeps the last of two
equal keys. Here scalars follow YAML 1.2: only ``true`` and ``false`` are booleans. A key given twice is an error, and
so are tags, anchors and aliases.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from inarch.addresses import kind
from inarch.errors import RecipeError

MAX_BYTES = 1_000_000
MOST_VALUES = 100_000  # which take 4 s to read
DEEPEST = 50  # levels; Python's own limit would end reading at about 300, and writing elsewhere

Key = tuple[str | int, ...]

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,300}")  # longer ones overflow a float
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """A mapping read from YAML, and the line (from 1) of every key in it."""

    source: str
    data: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)
    texts: dict[Key, str] = field(default_factory=dict)
    """How each number is written, for options that are text: a class may be called 007, a revision 1.10."""
    overridden: set[Key] = field(default_factory=set)

    def where(self, key: Key) -> str:
        """Name the file, the line and the key, for an error message."""
        dotted = ".".join(str(part) for part in key)
        above = any(key[: len(override)] == override for override in self.overridden)
        inside = key not in self.lines and any(override[: len(key)] == key for override in self.overridden)
        if above or inside:
            return f"override {dotted}"
        known = key
        while known and known not in self.lines:
            known = known[:-1]
        line = f", line {self.lines[known]}" if known in self.lines else ""
        return f"{self.source}{line}: {dotted}" if dotted else f"{self.source}{line}"

    def override(self, dotted: str, value: Any) -> None:
        """Put a value in place of the one at a key such as ``train.epochs``."""
        parts = tuple(dotted.split("."))
        if len(parts) > DEEPEST:
            raise RecipeError(f"override '{dotted[:50]}...': nested more than {DEEPEST} levels deep")
        here = self.data
        for depth, part in enumerate(parts[:-1]):
            below = here.get(part)
            if isinstance(below, str) and depth == 0:  # `head: classifier` becomes {name: classifier} first
                below = here[part] = {"name": below}
            elif below is None:
                below = here[part] = {}
            if not isinstance(below, dict):
                raise RecipeError(f"override '{dotted}': '{'.'.join(parts[: depth + 1])}' is not a mapping")
            here = below
        here[parts[-1]] = value
        for key in [key for key in self.texts if key[: len(parts)] == parts]:
            del self.texts[key]
        self.overridden.add(parts)

    def override_text(self, text: str) -> None:
        """Apply an override as it stands on the command line: ``train.epochs=3``."""
        dotted, equals, written = text.partition("=")
        if not equals or not dotted:
            raise RecipeError(f"override '{text}': expected KEY=VALUE, for example train.epochs=3")
        texts: dict[Key, str] = {}
        self.override(dotted, _read(written, f"override '{text}'", {}, texts))
        self.texts.update({(*dotted.split("."), *key): number for key, number in texts.items()})


def load(path: Path) -> Document:
    """Read a file whose top level is a mapping."""
    try:
        if kind(path) != "a file":
            raise RecipeError(f"{path}: expected a file, found {kind(path)}")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise RecipeError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_BYTES:
        raise RecipeError(f"{path}: larger than {MAX_BYTES:,} bytes; is this a recipe?")
    return parse(text, str(path))


def parse(text: str, source: str) -> Document:
    """Read text whose top level is a mapping; `source` names it in messages."""
    lines: dict[Key, int] = {}
    texts: dict[Key, str] = {}
    data = _read(text, source, lines, texts)
    if not isinstance(data, dict):
        raise RecipeError(f"{source}: expected 'key: value' lines at the top, found {_describe(data)}")
    return Document(source, data, lines, texts)


class _Loader(yaml.SafeLoader):
    """Refuses what could hide in a recipe: tags, which can name code, and what takes the machine's time or memory."""

    depth = values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Look at the next event before a node is made of it."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self.values += 1
        if self.values > MOST_VALUES:
            raise _Refused(None, None, f"more than {MOST_VALUES:,} values; is this a recipe?", event.start_mark)
        if self.depth == DEEPEST:
            raise _Refused(None, None, f"nested more than {DEEPEST} levels deep", event.start_mark)
        if getattr(event, "anchor", None):
            said = "anchors and aliases are not allowed; put quotes around text that starts with * or &"
            raise _Refused(None, None, said, event.start_mark)
        if getattr(event, "tag", None):
            raise _Refused(None, None, f"the tag '{event.tag}' is not allowed in a recipe", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML, but not a recipe's."""


def _read(text: str, source: str, lines: dict[Key, int], texts: dict[Key, str]) -> Any:
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _Builder(source, lines, texts).build(node, ())
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        said = ", ".join(str(part) for part in (error.context, error.problem) if part)
        said = said if isinstance(error, _Refused) else f"not valid YAML: {said}"
        hint = "; indent with spaces, not tabs" if "'\\t'" in said else ""
        if "scanning an a" in said:  # an anchor or an alias, by a name that cannot be one, such as *.png
            said, hint = "put quotes around text that starts with * or &", ""
        raise RecipeError(f"{source}{line}: {said}{hint}") from None
    except yaml.reader.ReaderError as error:
        raise RecipeError(f"{source}: not text: character {error.position} is {chr(error.character)!r}") from None


class _Builder:
    """Turns nodes into values, and notes where each key stands and how each number is written."""

    def __init__(self, source: str, lines: dict[Key, int], texts: dict[Key, str]) -> None:
        self.source, self.lines, self.texts = source, lines, texts

    def build(self, node: yaml.Node, key: Key) -> Any:
        self.lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*key, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        assert isinstance(node, yaml.ScalarNode)
        value = node.value if node.style else scalar(node.value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.texts[key] = node.value
        return value

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise RecipeError(f"{self.source}, line {line}: a key must be a single word")
            name = key_node.value
            if name in result:
                first = self.lines[(*key, name)]
                raise RecipeError(
                    f"{self.source}, line {line}: the key '{name}' is given twice (first in line {first})"
                )
            self.lines[(*key, name)] = line
            result[name] = self.build(value_node, (*key, name))
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


class _Dumper(yaml.SafeDumper):
    """Writes text that this project's loader, which follows YAML 1.2, reads back as the same values."""

    def represent_text(self, text: str) -> yaml.Node:
        """Quote any text that would be read back as something else."""
        style = None if scalar(text) == text else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def represent_number(self, number: float) -> yaml.Node:
        """Write a float as Python does: the shortest text that reads back equal."""
        text = repr(number).replace("inf", ".inf").replace("nan", ".nan")
        if "e" in text and "." not in text:
            text = text.replace("e", ".0e")  # else PyYAML, which does not take 1e-07 for a number, would add a tag
        return self.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(float, _Dumper.represent_number)


def dump(data: Any) -> str:
    """Write plain data as YAML."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
