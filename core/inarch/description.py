"""What a bundle says of itself, checked: it may come from a stranger. Light: imports no torch.

The manifest is no signature: it tells damage, and whoever writes a bundle writes its manifest. So nothing in a bundle
is run, or taken on trust: its description is checked by types, its weights are safetensors.
"""

import json
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inarch import checkpoint
from inarch.addresses import kind
from inarch.document import Document
from inarch.errors import RunError, listing
from inarch.interfaces.dataset import Targets
from inarch.schema import convert

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "bundle.json"
FILES = "backbone"  # the folder with what a backbone needs beside its weights, a tokenizer for example


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A component of the model, and who wrote it down."""

    name: str
    options: dict[str, Any]
    plugin: str
    version: str


_TYPES = {"input": str | list[str], "backbone": _Part, "head": _Part, "strategy": _Part, "targets": Targets}


def read_description(directory: Path) -> dict[str, Any]:
    """Return what a bundle says of itself, after checking every file against its hash, or raise RunError."""
    refuse_damaged(directory, "bundle", {DESCRIPTION, WEIGHTS})
    try:
        found = json.loads((directory / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{directory / DESCRIPTION}: not JSON: {error}") from None
    if not isinstance(found, dict) or "format" not in found:
        raise RunError(f"{directory / DESCRIPTION}: expected a mapping with the bundle's 'format'")
    if found["format"] != FORMAT:
        other, version = found["format"], found.get("inarch")
        raise RunError(f"{directory}: bundle format {other}, this inarch reads {FORMAT}; install inarch {version}")
    missing = [name for name in _TYPES if name not in found and name != "strategy"]
    if missing:
        raise RunError(f"{directory / DESCRIPTION}: lacks {listing(missing)}")
    document = Document(str(directory / DESCRIPTION), found)
    for name, annotation in _TYPES.items():
        if name in found:
            converted = convert(found[name], annotation, document, (name,))
            found |= {"input": converted} if name == "input" else {}
    return found


def refuse_damaged(directory: Path, what: str, needed: Set[str]) -> None:
    """Raise RunError where a folder that may come from a stranger holds anything but the files that were hashed.

    what: such a folder's name in the error. needed: files that it must have.
    """
    try:
        reason = _strangeness(directory) or checkpoint.problem(directory) or _unlisted(directory, needed)
    except (OSError, ValueError) as error:
        reason = str(error)
    if reason:
        raise RunError(f"{directory}: the {what} is damaged and is not used: {reason}")


def _strangeness(directory: Path) -> str | None:
    """Say which entry is neither a file nor a folder of its own; a link to a file is one, as the hub makes."""
    for path in sorted(directory.rglob("*")):
        found = kind(path)
        if found not in ("a file", "a folder"):
            return f"{path.relative_to(directory)} is {found}"
        if found == "a folder" and path.is_symlink():
            return f"{path.relative_to(directory)} is a link to a folder elsewhere"
    return None


def _unlisted(directory: Path, needed: Set[str]) -> str | None:
    """Say which files, or which needed ones, nobody has hashed."""
    listed = json.loads((directory / checkpoint.MANIFEST).read_text(encoding="utf-8"))["files"]
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    others = sorted(found - set(listed) - {checkpoint.MANIFEST})
    lost = sorted(needed - set(listed))
    if lost:
        return f"{checkpoint.MANIFEST} does not list {listing(lost)}"
    return f"{checkpoint.MANIFEST} does not list {listing(others)}" if others else None


def files_of(directory: Path) -> dict[str, str]:
    """Return the option with which a backbone is built that has files in a folder."""
    return {"files": str(directory / FILES)} if (directory / FILES).is_dir() else {}
