"""The pages of the hooks, made of their specifications: `docs/hooks.md`, and what `inarch plugins hooks` prints."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from inarch import hookspecs, specification
from inarch.errors import PluginError, unknown

Hook = Callable[..., None]

HEADER = """\
# Hooks

<!-- Made of core/inarch/hookspecs.py by: inarch plugins hooks > docs/hooks.md -->

A plugin is a module with an entry point in the group `inarch`. It answers a hook by a function of its name under
`@inarch.hookimpl`, which may leave out arguments and may not give them defaults. Within a major version of inarch hooks
only gain arguments. Registering hooks are called when plugins are loaded, so they import nothing heavy; the others
observe a training on its main process, get plain numbers and never steer.
"""


def document(module: Any = hookspecs) -> str:
    """Return the pages of all hooks."""
    return "\n".join([HEADER, *(page(name, module) for name in specification.specifications(module))])


def page(name: str, module: Any = hookspecs) -> str:
    """Return the page of one hook, in Markdown."""
    known = specification.specifications(module)
    if name not in known:
        raise PluginError(unknown("hook", name, known))
    hook = known[name]
    summary, sections = read(hook)
    parts = [f"## {name}({', '.join(inspect.signature(hook).parameters)})", summary, _called(sections)]
    parts += [f"{title}:\n\n{_items(sections[title])}" for title in ("Arguments", "Facts") if title in sections]
    parts.append(f"```python\n{sections['Example']}\n```")
    parts.append("\n".join(_lives(hook)))
    return "\n\n".join(parts) + "\n"


def read(hook: Hook) -> tuple[str, dict[str, str]]:
    """Return what a hook's docstring says before its sections, and the text of each section by its title."""
    text, *rest = re.split(r"^(Called|Arguments|Facts|Example):\n", inspect.getdoc(hook) or "", flags=re.MULTILINE)
    sections = {title: textwrap.dedent(body).strip() for title, body in zip(rest[::2], rest[1::2], strict=True)}
    return text.strip(), sections


def items(section: str) -> dict[str, str]:
    """Return what a section says of each thing that it lists, `name: what it is`."""
    entries = re.split(r"^(?=\w+: )", section, flags=re.MULTILINE)
    pairs = (" ".join(entry.split()).split(": ", 1) for entry in entries if entry.strip())
    return {name: told for name, told in pairs}


def _called(sections: dict[str, str]) -> str:
    return f"Called {' '.join(sections['Called'].split())}."


def _items(section: str) -> str:
    return "\n".join(f"- `{name}`: {told}" for name, told in items(section).items())


def _lives(hook: Hook) -> Iterator[str]:
    """Say since when the hook and its later arguments are there, and how they go."""
    life, arguments = specification.lives(hook)
    yield f"Since inarch {life.since}." + _end(hook.__name__, life)
    for name, its in arguments.items():
        yield f"`{name}`: since inarch {its.since}." + _end(name, its)


def _end(what: str, life: specification.Life) -> str:
    sentence = life.sentence(f"`{what}`")
    return f" {sentence[0].upper()}{sentence[1:]}." if life.deprecated or life.removed else ""
