"""Words in many synthesised voices, as recordings in a folder. espeak-ng, a program beside inarch, speaks them.

The folder is made aside and renamed when it is whole, so that several processes may start at once. `manifest.json` in
it says how each recording was made; a folder that has one for the same options is used as it is, without espeak-ng.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa

from inarch import DataError, Dataset, Rows, locate
from inarch_audio import espeak

MANIFEST = "manifest.json"
SPEEDS, PITCHES = (110, 200), (30, 70)  # words a minute, and 0 to 99; espeak-ng's own are 175 and 50
_DISTRIBUTION = "espeakng-loader"
_LIBRARIES = {"win32": "espeak-ng.dll", "cygwin": "espeak-ng.dll", "darwin": "libespeak-ng.dylib"}
_COLUMNS = ("class", "voice", "accent")


def open_or_make(
    path: Path, words: Mapping[str, Sequence[str]], voices: Sequence[str], takes: int, seed: int
) -> Dataset:
    """Return the recordings in a folder, which is made if there is none or it is empty.

    `words`: class to the texts that are spoken; `voices`: names such as en-gb-scotland+f3.
    """
    options = {"words": {name: list(texts) for name, texts in words.items()}, "voices": list(voices)}
    options |= {"takes": takes, "seed": seed}
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        _make(path, options)
    manifest = _verified(path, options)
    recordings = manifest["recordings"]
    files = [str(path / recording["file"]) for recording in recordings]
    columns = {name: [recording[name] for recording in recordings] for name in _COLUMNS}
    rows = Rows(
        {name: pa.array(values) for name, values in {"file": files, **columns}.items()}, where=files.__getitem__
    )
    note = (
        f"{path}: {len(files):,} recordings in {len(voices):,} voices, synthesised by {manifest['synthesiser']}; "
        "nobody speaks in them"
    )
    return Dataset({"train": rows}, "file", "class", "voice", None, str(path), frozenset({"file"}), (note,))


def _verified(path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest of a folder, or raise DataError if the folder is not what these options make."""
    advice = "name another folder in dataset.path, or remove this one and it is made anew"
    if not (path / MANIFEST).is_file():
        raise DataError(f"{path}: holds something else than recordings that 'synthetic_speech' made; {advice}")
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        found, recordings = manifest["options"], manifest["recordings"]
        different = [name for name in options if found[name] != options[name]]
        told = {recording["file"]: recording["sha256"] for recording in recordings}
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path / MANIFEST}: is damaged, or no manifest of recordings; {advice}") from None
    if different:
        name = different[0]
        raise DataError(f"{path}: was made with other options ({name}: {_short(found[name])}); {advice}")
    for file, digest in told.items():
        if not (path / file).is_file() or _digest(path / file) != digest:
            raise DataError(f"{path / file}: is missing or not as it was made; {advice}")
    return manifest


def _make(path: Path, options: Mapping[str, Any]) -> None:
    """Synthesise all recordings beside the folder, then give them its name."""
    data = locate(f"package:{_DISTRIBUTION}/espeakng_loader/espeak-ng-data", DataError)
    aside = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        for name in options["words"]:
            (aside / name).mkdir(parents=True)
        plans = {voice: _plan(voice, options) for voice in options["voices"]}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            versions = list(pool.map(lambda voice: _speak(data, aside, voice, plans[voice], options["seed"]), plans))
        recordings = [{**one, "sha256": _digest(aside / one["file"])} for plan in plans.values() for one in plan]
        synthesiser = f"espeak-ng {versions[0]} of {_DISTRIBUTION} {metadata.version(_DISTRIBUTION)}"
        manifest = {"synthesiser": synthesiser, "options": options, "recordings": recordings}
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        _rename(aside, path)
    except OSError as error:
        raise DataError(f"{path}: the recordings cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _rename(aside: Path, path: Path) -> None:
    """Give a folder its name; where another process was faster, its folder stays."""
    try:
        if path.is_dir() and sys.platform == "win32":
            path.rmdir()  # which only removes empty ones
        aside.rename(path)
    except OSError:
        if not (path / MANIFEST).is_file():
            raise


def _plan(voice: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what one voice says, and how: by the seed, whatever other voices and words there are."""
    accent, _, _ = voice.partition("+")
    plan = []
    for name, texts in options["words"].items():
        for number, text in enumerate(texts):
            for take in range(options["takes"]):
                lot = random.Random(f"{options['seed']}/{voice}/{name}/{text}/{take}")
                place = f"{take}" if len(texts) == 1 else f"{number}_{take}"
                plan.append(
                    {
                        "file": f"{name}/{voice}_{place}.wav",
                        "class": name,
                        "voice": voice,
                        "accent": accent,
                        "text": text,
                        "speed": lot.randint(*SPEEDS),
                        "pitch": lot.randint(*PITCHES),
                    }
                )
    return plan


def _speak(data: Path, folder: Path, voice: str, plan: Sequence[Mapping[str, Any]], seed: int) -> str:
    """Write the recordings of one voice below `folder` in a process of its own; return espeak-ng's version."""
    task = {
        "library": str(data.parent / _LIBRARIES.get(sys.platform, "libespeak-ng.so")),
        "voice": voice,
        "seed": random.Random(f"{seed}/{voice}").randrange(1 << 31),
        "utterances": [{**one, "file": str(folder / one["file"])} for one in plan],
    }
    done = subprocess.run(
        [sys.executable, "-I", espeak.__file__],
        input=json.dumps(task),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        cwd=data.parent,
    )
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"espeak-ng ended with the code {done.returncode}"
        raise DataError(f"dataset: the voice '{voice}': {said}")
    return done.stdout


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
