"""Checkpoints that survive a crash: written aside, fsynced, manifest last, one rename; verified before use."""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from inarch.errors import RunError

MANIFEST = "manifest.json"
KEEP = 2


@contextmanager
def written_atomically(final: Path, needs: Iterable[str] = ()) -> Iterator[Path]:
    """Give a new directory beside `final`; when the block ends, make it durable and rename it to `final`.

    What was `final` until then steps aside as .NAME.before. After a crash at any moment `final` is the old one or the
    new, whole; or absent, if it was before, or until `mend`. What an error leaves half-written is removed.
    needs: names of directories beside it without which it is of no use.
    """
    aside, before = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}"), _before(final)
    try:
        # but not its parent: what vanished is not to be made anew, half of it missing
        final.parent.mkdir(exist_ok=True)
        _put_back(before)
        aside.mkdir()
        yield aside
        _seal(aside, needs)
        if final.exists():
            final.rename(before)
        aside.rename(final)
        _sync(final.parent)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{_not_written(final, error)}; continue with --resume.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        _put_back(before)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace one file's text or bytes, durably; after a crash it holds the old ones or the new."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise RunError(f"{_not_written(path, error)}.") from error


def folder(path: Path) -> Path:
    """Make a folder, unless there is one, or raise RunError; return it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{_not_written(path, error)}.") from error
    return path


def is_leftover(path: Path) -> bool:
    """Say whether a crash left something half-written, or stepped aside, as the functions above name it."""
    return re.fullmatch(r"\..+\.([0-9a-f]{8}|before)", path.name) is not None


def mend(directory: Path) -> None:
    """Put right what crashes left in a directory and its folders: put back what stepped aside, remove the rest."""
    for leftover in [path for path in (*directory.glob(".*"), *directory.glob("*/.*")) if is_leftover(path)]:
        if leftover.name.endswith(".before"):
            _put_back(leftover)
        elif leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def problem(directory: Path) -> str | None:
    """Say why a directory written by `written_atomically` must not be used, or None if it is whole."""
    return next(damages(directory), None)


def damages(directory: Path) -> Iterator[str]:
    """Yield how the files of a directory differ from its manifest, or that there is none; files beside are ignored."""
    try:
        files = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["files"]
        if not files:
            yield f"{MANIFEST} lists no file"
        yield from (reason for name, facts in files.items() if (reason := damage(directory, name, facts)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        yield f"no valid manifest or file: {error}"


def damage(directory: Path, name: str, facts: Mapping[str, Any]) -> str | None:
    """Say how a file differs from what a manifest says of it, or return None."""
    path = directory / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return f"{name} lies elsewhere"
    if not path.is_file():
        return f"{name} is missing"
    try:
        if path.stat().st_size != facts["bytes"]:
            return f"{name} has {path.stat().st_size} bytes instead of {facts['bytes']}"
        return None if file_hash(path) == facts["sha256"] else f"{name} does not match its hash"
    except (OSError, KeyError, TypeError) as error:
        return f"{name}: no valid manifest or file: {error}"


def facts_of(path: Path) -> dict[str, Any]:
    """Return what a manifest says of a file."""
    return {"bytes": path.stat().st_size, "sha256": file_hash(path)}


def step_directory(root: Path, step: int) -> Path:
    """Return the directory of the checkpoint after `step` optimizer steps."""
    return root / f"step-{step:08d}"


def newest_good(root: Path) -> tuple[Path | None, list[str]]:
    """Return the newest checkpoint that is whole, with all it needs, and a sentence for each that was passed over."""
    passed_over: list[str] = []
    reasons: dict[str, str | None] = {}
    for directory in sorted(root.glob("step-*"), reverse=True):
        needed = [directory.name, *_needs(directory)]
        for name in needed:
            reasons.setdefault(name, problem(root / name))
        broken = next((name for name in needed if reasons[name]), None)
        if broken is None:
            return directory, passed_over
        told = "is broken" if broken == directory.name else f"needs {broken}, which is broken,"
        passed_over.append(f"{directory} {told} and was passed over: {reasons[broken]}")
    return None, passed_over


def clean(root: Path, step: int, keep_steps: Iterable[int | None]) -> None:
    """After the checkpoint of `step` is written: keep it, the one before it, what both need, those of `keep_steps`.

    One of a later step was passed over, for it is broken; if it counted, the good ones would be removed in its place.
    """
    kept = {step_directory(root, step) for step in keep_steps if step is not None}
    checkpoints = sorted(root.glob("step-*"))
    newest = [one for one in checkpoints if one <= step_directory(root, step)][-KEEP:]
    kept.update(newest, (root / name for one in newest for name in _needs(one)))
    try:
        for directory in checkpoints:
            if directory not in kept:
                _remove(directory)
    except OSError as error:
        raise RunError(f"{directory}: could not be removed: {error.strerror or error}") from error
    mend(root)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_written(path: Path, error: Exception) -> str:
    if not path.parent.is_dir():
        return f"{path}: could not be written: {path.parent} is gone"
    reason = getattr(error, "strerror", None) or error
    return f"{path}: could not be written: {reason}. What was there before is untouched"


def _before(final: Path) -> Path:
    return final.with_name(f".{final.name}.before")


def _put_back(before: Path) -> None:
    """Put back what stepped aside, unless what took its place is there: then remove it."""
    final = before.with_name(before.name[1:].removesuffix(".before"))
    with suppress(OSError):
        if final.exists():
            shutil.rmtree(before, ignore_errors=True)
        elif before.exists():
            before.rename(final)


def _needs(directory: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads((directory / MANIFEST).read_text(encoding="utf-8")).get("needs", [])]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return []  # its manifest is broken: that is told first


def _remove(directory: Path) -> None:
    """Remove a directory; after a crash it is there, or a leftover."""
    aside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}")
    directory.rename(aside)
    shutil.rmtree(aside)


def _seal(directory: Path, needs: Iterable[str]) -> None:
    inside = sorted(directory.rglob("*"))
    readable = directory.stat().st_mode & 0o666  # as the process' umask says; safetensors lets only the owner read
    for path in inside:  # folders too, or the names in them could be lost
        if path.is_file():
            path.chmod(readable)
        _sync(path)
    listed = {str(path.relative_to(directory)): facts_of(path) for path in inside if path.is_file()}
    manifest = {"files": listed, "needs": sorted(set(needs) - {directory.name})}
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    _sync(directory / MANIFEST)
    _sync(directory)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
