"""A bundle may come from a stranger: it is verified before a model is built of it, and the model has a limit.

The manifest is no signature: it tells damage, and whoever writes a bundle writes its manifest. So nothing in a bundle
is run, or taken on trust: its description is checked by types, its weights are safetensors.
"""

import json
import os
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from inarch import checkpoint
from inarch.addresses import kind
from inarch.document import Document
from inarch.errors import RunError, listing
from inarch.interfaces.dataset import Targets
from inarch.schema import convert

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "bundle.json"
_LEAST = 1 << 30  # bytes that a model may take, however small its file
_TIMES = 4  # the bytes of its file that a model may take while it is built
_PER_TENSOR = 1 << 17  # bytes that a tensor counts for at least: building a million small layers would take for ever
_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.eye}


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
    try:
        reason = strangeness(directory) or checkpoint.problem(directory) or unlisted(directory, {DESCRIPTION, WEIGHTS})
        text = "" if reason else (directory / DESCRIPTION).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = str(error)
    if reason:
        raise RunError(f"{directory}: the bundle is damaged and is not used: {reason}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
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


def strangeness(directory: Path) -> str | None:
    """Say which entry of a bundle is neither a file nor a folder of it; a link to a file is one, as the hub makes."""
    for path in sorted(directory.rglob("*")):
        found = kind(path)
        if found not in ("a file", "a folder"):
            return f"{path.relative_to(directory)} is {found}"
        if found == "a folder" and path.is_symlink():
            return f"{path.relative_to(directory)} is a link to a folder elsewhere"
    return None


def unlisted(directory: Path, needed: Set[str]) -> str | None:
    """Say which files of a bundle, or which needed ones, nobody has hashed."""
    listed = json.loads((directory / checkpoint.MANIFEST).read_text(encoding="utf-8"))["files"]
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    others = sorted(found - set(listed) - {checkpoint.MANIFEST})
    lost = sorted(needed - set(listed))
    if lost:
        return f"{checkpoint.MANIFEST} does not list {listing(lost)}"
    return f"{checkpoint.MANIFEST} does not list {listing(others)}" if others else None


class Allowance(TorchFunctionMode):
    """Ends the building of a model that takes far more memory than its file: a bundle may describe one of any size.

    Of adapters, whose base lies elsewhere, the file says nothing: half of the machine's memory is the limit.
    """

    def __init__(self, directory: Path, adapters: bool, description: str = DESCRIPTION) -> None:
        super().__init__()
        self.description = description
        size = (directory / WEIGHTS).stat().st_size
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self.directory = directory
        self.limit = self.left = max(_LEAST + _TIMES * size, machine // 2 if adapters else 0)

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count what a tensor will take before it is made."""
        kwargs = kwargs or {}
        if function in _MAKERS and str(kwargs.get("device")) != "meta" and kwargs.get("generator") is None:
            self.left -= max(_PER_TENSOR, function(*args, **{**kwargs, "device": "meta", "pin_memory": False}).nbytes)
            if self.left < 0:
                told = f"a model of more than {self.limit / 1e9:.1f} GB, far more than {WEIGHTS} holds"
                raise RunError(f"{self.directory}: {self.description} describes {told}")
        return function(*args, **kwargs)
