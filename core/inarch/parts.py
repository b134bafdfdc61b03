"""The parts of a model as plain data, and built again from it: what bundles and capsules have in common."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inarch.description import FILES
from inarch.document import Document
from inarch.interfaces.backbone import Backbone
from inarch.interfaces.dataset import Targets
from inarch.plugins import Entry, build, loaded
from inarch.schema import bind, plain


def describe(parts: Mapping[str, tuple[Entry, Mapping[str, Any]]], targets: Targets) -> dict[str, Any]:
    """Return what the parts of a model (`backbone`, `head`, `strategy`) can be built from again, as plain data."""
    known = loaded().known
    described = {
        kind: {
            "name": entry.name,
            "options": plain(options),
            "plugin": known[entry.plugin].distribution,
            "version": known[entry.plugin].version,
        }
        for kind, (entry, options) in parts.items()
    }
    return {"inarch": known["core"].version, **described, "targets": plain(asdict(targets))}


def write_files(directory: Path, backbone: Backbone) -> None:
    """Write what the backbone needs beside its weights (a tokenizer) into a folder's folder."""
    for name, content in backbone.files().items():
        (directory / FILES).mkdir(exist_ok=True)
        (directory / FILES / name).write_bytes(content)


def rebuild(
    kind: str,
    component: Mapping[str, Any],
    description: Mapping[str, Any],
    extra: Mapping[str, Any],
    *given: Any,
    whose: str = "the bundle's",
) -> Any:
    """Build a component as `describe` told it; one that is not installed, or knows other options now, is an error."""
    where = f"{whose} {kind} (written by {component['plugin']} {component['version']})"
    entry = loaded().find(kind, component["name"], where)
    options = {**component["options"], **extra}
    return build(entry, bind(entry.build, options, Document(where, dict(description)), ()), *given)
