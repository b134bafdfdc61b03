"""Verify: hash again everything that a run left behind. Light: imports no torch."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inarch.checkpoint import MANIFEST, damage, damages, is_leftover
from inarch.errors import InarchError, RunError, listing
from inarch.workflows import lock, manifest
from inarch.workflows.directory import DATA, RECIPE, recipe_of
from inarch.workflows.manifest import BUNDLE, CAPSULES, CHECKPOINTS, INSIDE

COMPARISON, LADDER, DESCRIPTION = "comparison.yaml", "ladder.json", "bundle.json"
Listed = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Part:
    """Something that a run left behind."""

    what: str
    """"records", "predictions", "model", "checkpoints/step-00000348", "rungs/full"."""
    files: int
    bytes: int
    wrong: list[str]
    """A sentence for each file that is damaged or missing."""


@dataclass(frozen=True)
class Verified:
    """What was found in a run directory."""

    directory: Path
    kind: str
    """"run", "ladder", "comparison" or "bundle"."""
    finished: bool
    parts: list[Part]
    notes: list[str]
    """What is no damage, but should be known."""

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not any(part.wrong for part in self.parts)


def verify(directory: Path | str) -> Verified:
    """Hash again what is in a run, a comparison, a ladder or a bundle; raise RunError if the directory is none.

    The records of a run that has not ended are read instead, for their hashes are written last.
    """
    directory = Path(directory)
    finished = (directory / MANIFEST).exists()
    if (directory / DESCRIPTION).is_file() and finished:
        return Verified(directory, "bundle", True, [_folder(directory, "bundle")], [])
    try:
        found = manifest.read(directory) if finished else {"files": {}, "runs": []}
        unreadable = []
    except RunError as error:
        found, unreadable = {"files": {}, "runs": []}, [str(error)]
    listed = found["files"]
    kind = _kind(directory, listed)
    if not kind:
        raise RunError(f"{directory}: no run here; expected a folder with a {RECIPE}, {COMPARISON} or {DESCRIPTION}")
    inside, notes = _inside(directory, found["runs"])
    records = [] if unreadable or not finished else _loose(directory, listed)
    parts = [*(records or [_readable(directory, unreadable)]), *_folders(directory, listed), *inside]
    return Verified(directory, kind, finished, parts, [*notes, *_notes(directory, listed, finished)])


def _kind(directory: Path, listed: Listed) -> str:
    def has(name: str) -> bool:
        return name in listed or (directory / name).is_file()

    if has(COMPARISON):
        return "comparison"
    return "" if not has(RECIPE) else "ladder" if has(LADDER) else "run"


def _part(what: str, paths: Iterable[Path], wrong: list[str]) -> Part:
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return Part(what, len(sizes), sum(sizes), wrong)


def _loose(directory: Path, listed: Listed) -> list[Part]:
    """Compare the files for which no other manifest stands."""
    groups: dict[str, list[str]] = {}
    for name in listed:
        if not name.endswith(f"/{MANIFEST}"):
            groups.setdefault(name.partition("/")[0] if "/" in name else "records", []).append(name)
    return [
        _part(
            what,
            [directory / name for name in names],
            [reason for name in names if (reason := damage(directory, name, listed[name]))],
        )
        for what, names in sorted(groups.items(), key=lambda group: group[0] != "records")
    ]


def _readable(directory: Path, wrong: list[str]) -> Part:
    """Read the records of a run of which no hashes are known."""
    paths = [path for path in sorted(directory.iterdir()) if path.is_file() and not path.name.startswith(".")]
    wrong = list(wrong)
    for path in paths:
        try:
            if path.name in (RECIPE, COMPARISON):
                recipe_of(directory, path.name)
            elif path.suffix == ".json" and path.name != MANIFEST:
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".jsonl":
                [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (InarchError, OSError, ValueError) as error:
            wrong.append(f"{path.name} cannot be read: {error}")
    wrong += [f"{name} is missing" for name in (RECIPE, DATA) if not (directory / name).is_file()]
    return _part("records", paths, wrong)


def _folders(directory: Path, listed: Listed) -> Iterator[Part]:
    """Compare the bundle, the capsules and the checkpoints with their manifests, and these with the run's."""
    found = {path for path in [directory / BUNDLE, *directory.glob(f"{CHECKPOINTS}/step-*")] if path.is_dir()}
    found |= {path.parent for path in directory.glob(f"{CAPSULES}/*/{MANIFEST}")}
    found |= {(directory / name).parent for name in listed if name.endswith(f"/{MANIFEST}")}
    for folder in sorted(found, key=lambda folder: (folder.parent.name == CHECKPOINTS, folder)):
        what = str(folder.relative_to(directory))
        facts = listed.get(f"{what}/{MANIFEST}")
        reason = damage(directory, f"{what}/{MANIFEST}", facts) if facts else None
        yield _folder(folder, what, [reason] if reason else [])


def _folder(folder: Path, what: str, wrong: Iterable[str] = ()) -> Part:
    return _part(what, folder.rglob("*"), [*wrong, *([] if wrong else damages(folder))])


def _inside(directory: Path, ended: Iterable[str]) -> tuple[list[Part], list[str]]:
    """Verify the runs inside a comparison or a ladder; return a part for each, and what should be known of them."""
    names = {str(path.relative_to(directory)) for inside in INSIDE for path in directory.glob(inside) if path.is_dir()}
    parts, notes = [], []
    for name in sorted({*names, *ended}):
        try:
            seen = verify(directory / name)
        except RunError:
            parts += [Part(name, 0, 0, [f"{name} is missing"])] if name in ended else []
            notes += [] if name in ended else [f"{name} has not begun"]
            continue
        wrong = [f"{part.what}: {reason}" for part in seen.parts for reason in part.wrong]
        wrong += [f"{name} had ended, and its {MANIFEST} is missing"] if name in ended and not seen.finished else []
        parts.append(Part(name, sum(part.files for part in seen.parts), sum(part.bytes for part in seen.parts), wrong))
        notes += [f"{name}: {note}" for note in seen.notes]
    return parts, notes


def _notes(directory: Path, listed: Listed, finished: bool) -> Iterator[str]:
    if not finished:
        yield "has not ended: its records were read, but their hashes are not known yet"
    if (directory / lock.NAME).exists():
        yield "is in use right now, or its process was killed"
    left = [path for path in (*directory.glob(".*"), *directory.glob("*/.*")) if is_leftover(path)]
    if left:
        yield f"{len(left)} left by a crash, such as {left[0].relative_to(directory)}: --resume clears up"
    extra = list(_others(directory, listed)) if finished else []
    if extra:
        yield f"nothing vouches for {listing(extra, 3)}"


def _others(directory: Path, listed: Listed) -> Iterator[str]:
    """Yield files that no manifest names; of a folder of which it names none, the folder."""
    known = set(listed)
    for name in listed:
        with suppress(RunError):
            folder = Path(name).parent
            if Path(name).name == MANIFEST:
                known |= {str(folder / inner) for inner in manifest.read(directory / folder)["files"]}
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name in {MANIFEST, CHECKPOINTS, *(name.split("/")[0] for name in INSIDE)}:
            continue
        if path.is_dir() and not any(name.startswith(f"{path.name}/") for name in listed):
            yield f"{path.name}/"
            continue
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and str(file.relative_to(directory)) not in known:
                yield str(file.relative_to(directory))
