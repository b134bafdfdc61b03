"""Checkpoints that survive a crash: written aside, fsynced, manifest last, one rename; verified before use."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from inarch.errors import RunError

MANIFEST = "manifest.json"
KEEP = 2


@contextmanager
def written_atomically(final: Path) -> Iterator[Path]:
    """Give a new directory beside `final`; when the block ends, make it durable and rename it to `final`.

    After a crash at any moment `final` is either whole or absent. What an error leaves half-written is removed.
    """
    aside = final.parent / f".{final.name}.{uuid.uuid4().hex[:8]}"
    try:
        aside.mkdir(parents=True)
        yield aside
        _seal(aside)
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        _sync(final.parent)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{_not_written(final, error)}; continue with --resume.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace one file's text or bytes, durably; after a crash it holds the old ones or the new."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"{_not_written(path, error)}.") from error


def problem(directory: Path) -> str | None:
    """Say why a directory written by `written_atomically` must not be used, or None if it is whole."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in manifest["files"].items():
            path = directory / name
            if path.stat().st_size != expected["bytes"]:
                return f"{name} has {path.stat().st_size} bytes instead of {expected['bytes']}"
            if file_hash(path) != expected["sha256"]:
                return f"{name} does not match its hash"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"no valid manifest or file: {error}"
    return None


def step_directory(root: Path, step: int) -> Path:
    """Return the directory of the checkpoint after `step` optimizer steps."""
    return root / f"step-{step:08d}"


def newest_good(root: Path) -> tuple[Path | None, list[str]]:
    """Return the newest checkpoint that is whole, and a sentence for each broken one that was passed over."""
    passed_over: list[str] = []
    for directory in sorted(root.glob("step-*"), reverse=True):
        reason = problem(directory)
        if reason is None:
            return directory, passed_over
        passed_over.append(f"{directory} is broken and was passed over: {reason}")
    return None, passed_over


def clean(root: Path, keep_steps: Sequence[int | None]) -> None:
    """Remove all but the newest checkpoints, those of `keep_steps`, and what crashes left half-written."""
    kept = {step_directory(root, step) for step in keep_steps if step is not None}
    checkpoints = sorted(root.glob("step-*"))
    for directory in checkpoints[:-KEEP]:
        if directory not in kept:
            shutil.rmtree(directory)
    for leftover in root.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_written(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"{path}: could not be written: {reason}. What was there before is untouched"


def _seal(directory: Path) -> None:
    inside = sorted(directory.rglob("*"))
    files = [path for path in inside if path.is_file()]
    for path in inside:  # folders too, or the names in them could be lost
        _sync(path)
    listed = {
        str(path.relative_to(directory)): {"bytes": path.stat().st_size, "sha256": file_hash(path)} for path in files
    }
    (directory / MANIFEST).write_text(json.dumps({"files": listed}, indent=1), encoding="utf-8")
    _sync(directory / MANIFEST)
    _sync(directory)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
