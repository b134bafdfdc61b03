"""What stored features are found by: everything that they depend on, as hashes."""

import hashlib
import pickle
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from inarch.data.loaders import Examples
from inarch.interfaces.backbone import Backbone
from inarch.plugins import CORE, loaded
from inarch.schema import plain
from inarch.weights import fingerprint


def describe(backbone: Backbone, device: torch.device, view: int, field: str) -> dict[str, Any]:
    """Return everything that features depend on, beside the raw inputs."""
    kind = type(backbone)
    return {
        "backbone": f"{kind.__module__}.{kind.__qualname__}",
        "options": plain(backbone.resolved),
        "facts": plain(backbone.facts),
        "num_features": backbone.num_features,
        "inarch": loaded().known[CORE].version,
        "code": _code(kind.__module__.partition(".")[0]),
        "weights": fingerprint(backbone.state_dict()),
        "precision": f"fp32 on {device.type}",
        "field": field,
        "view": view,
    }


@cache
def _code(package: str) -> str:
    """Return the hash of a package's source: of a plugin in the making, the version says nothing."""
    path = Path(getattr(sys.modules.get(package), "__file__", None) or package)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(path.parent)).encode() + b"\n")
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def row_key(examples: Examples, row: int, view: int) -> bytes | None:
    """Return the hash of a row's raw input, and for what is drawn at random of its draw; None: it has none."""
    try:
        key = digest(examples.dataset.raw(examples.rows[row]))
    except (OSError, TypeError, AttributeError, pickle.PicklingError):
        return None  # unreadable, as reading it will tell, or nothing that can be written down
    return hashlib.sha256(key + f" {examples.seed} {row}".encode()).digest() if view else key


def digest(raw: Any) -> bytes:
    """Return the SHA-256 of what is in a raw input: of a file its content, of a mapping its names and values."""
    if isinstance(raw, Path):
        with raw.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    if isinstance(raw, bytes):
        return hashlib.sha256(raw).digest()
    if isinstance(raw, Mapping) and raw.keys() == {"bytes", "path"}:  # an undecoded file of the library `datasets`
        return digest(Path(raw["path"]) if raw["bytes"] is None else bytes(raw["bytes"]))
    if isinstance(raw, Mapping):
        inside = b"".join(digest(part) for pair in raw.items() for part in pair)
    elif isinstance(raw, list | tuple):
        inside = b"".join(map(digest, raw))
    elif isinstance(raw, str):
        inside = raw.encode("utf-8", "surrogatepass")
    else:
        inside = pickle.dumps(raw, protocol=4)
    return hashlib.sha256(f"{type(raw).__name__} {len(inside)}\n".encode() + inside).digest()
