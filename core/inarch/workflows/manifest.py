"""The manifest of a run: sizes and hashes of what it left behind. Light: imports no torch.

    {"files": {NAME: {"bytes": ..., "sha256": ...}}, "runs": [NAME, ...]}

It is written last, and taken away before a run goes on: a run without one has not ended. A folder with a manifest of
its own, as a bundle, is represented by that; a run inside a comparison or a ladder by its name, for it may be evaluated
later. Checkpoints are not in it, for they may be removed; each has its own.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inarch.checkpoint import MANIFEST, facts_of, is_leftover, write_atomically
from inarch.errors import RunError

CHECKPOINTS, BUNDLE, CAPSULES = "checkpoints", "model", "capsules"
INSIDE = ("rungs/*", "cells/*/*")
"""Where runs are inside a run."""


def seal(directory: Path) -> None:
    """Write the manifest of a run that has ended."""
    with _readable():
        paths = {str(path.relative_to(directory)): path for path in _files(directory)}
        inside = [str(run.relative_to(directory)) for run in runs(directory)]
    _write(directory, paths, {"files": {}, "runs": inside})


def runs(directory: Path) -> list[Path]:
    """Return the runs inside a comparison or a ladder that have ended."""
    return sorted(path.parent for inside in INSIDE for path in directory.glob(f"{inside}/{MANIFEST}"))


def unseal(directory: Path) -> None:
    """Take the manifest of a run away, for it goes on."""
    try:
        (directory / MANIFEST).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{directory / MANIFEST}: {error.strerror or error}") from None


@contextmanager
def rewriting(directory: Path, names: Iterable[str]) -> Iterator[None]:
    """Take files out of the manifest of a run while the block writes them anew; a run without one stays without."""
    names = list(names)
    if not (directory / MANIFEST).exists():
        yield
        return
    found = read(directory)
    rest = {**found, "files": {name: facts for name, facts in found["files"].items() if name not in names}}
    _write(directory, {}, rest)
    yield
    _write(directory, {name: directory / name for name in names}, rest)


def read(directory: Path) -> dict[str, Any]:
    """Read the manifest of a run, or raise RunError."""
    path = directory / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"files": dict(found["files"]), "runs": [str(run) for run in found.get("runs", [])]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None


def _write(directory: Path, paths: dict[str, Path], known: dict[str, Any]) -> None:
    with _readable():
        files = {**known["files"], **{name: facts_of(path) for name, path in paths.items()}}
    write_atomically(directory / MANIFEST, json.dumps({**known, "files": dict(sorted(files.items()))}, indent=1))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"{error.filename}: cannot be read: {error.strerror or error}") from None


def _files(directory: Path) -> Iterator[Path]:
    """Yield what the manifest of a run stands for: files in it and its folders of predictions, bundle and capsules."""
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.name != MANIFEST and not path.name.startswith("."):
            yield path
    for folder in ("predictions", BUNDLE, CAPSULES):
        yield from sorted(_represented(directory / folder))


def _represented(folder: Path) -> Iterator[Path]:
    if (folder / MANIFEST).is_file():
        yield folder / MANIFEST
    elif folder.is_dir() and not is_leftover(folder):
        for path in folder.iterdir():
            if path.is_dir():
                yield from _represented(path)
            elif not is_leftover(path):
                yield path
