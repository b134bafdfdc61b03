"""Whole runs that a fault strikes, and damage afterwards: each goes on to the bits of an undisturbed one."""

import gc
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attempts.case_fault import Ended, Fault, apart, changes, struck
from conftest import RECIPE, write_vectors
from cuts import ending

from inarch.training.progress import Progress

OPTIONS = {"train.epochs": 2, "train.batch_size": 24, "backbone.dropout": 0.2, "train.ema": 0.9, "train.clip": None}


class _Told(Progress):
    """What a run says; after its second step something happens to it."""

    def __init__(self, accident: Callable[[], object]) -> None:
        self.sentences, self.accident = list[str](), accident

    def say(self, text: str) -> None:
        self.sentences.append(text)

    def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
        if done == 2:
            self.accident()


def train(folder: Path, run: str, options: Mapping[str, Any] = OPTIONS, accident: Callable[[], object] = int) -> str:
    """Train, or go on; return what was said."""
    import inarch

    told = _Told(accident)
    [recipe] = folder.glob("*.yaml")
    inarch.train(recipe, options, out=folder / run, resume=True, progress=told)
    return "\n".join(told.sentences)


def whole(folder: Path, options: Mapping[str, Any] = OPTIONS) -> list[str]:
    """Train a run that nothing disturbs; return its changes of the disk."""
    if not list(folder.glob("*.yaml")):
        (folder / "toy.yaml").write_text(RECIPE.format(path=write_vectors(folder / "vectors.csv")))
    train(folder, "first", options)  # which imports, for the processes that are forked from this one
    gc.freeze()
    return changes(lambda: train(folder, "whole", options), folder / "whole", folder)


def goes_on(folder: Path, place: str, options: Mapping[str, Any] = OPTIONS) -> str:
    """Resume the run: it must end with the bits of the undisturbed one, and nothing else; return what it said."""
    from inarch.workflows.verify import verify

    ended = apart(lambda: train(folder, "run", options), folder)
    assert ended.code == 0, f"{place}: {ended.told}"
    assert ending(folder / "run") == ending(folder / "whole"), f"{place}: other bits"
    seen = verify(folder / "run")
    assert seen.whole and seen.finished and not seen.notes, f"{place}: {seen}"
    return ended.told


def is_clear(ended: Ended, place: str) -> None:
    """One message, of a mistake that people can mend."""
    assert ended.code == 2, f"{place}: {ended}"
    assert "Traceback" not in ended.told and ended.told.count("\n") == 0, f"{place}: {ended.told}"


def trainings(folder: Path, faults: Sequence[tuple[str, int]], every: int) -> int:
    """Let faults strike a training at every so manieth change, and go on."""
    made, run, tried = whole(folder), folder / "run", 0
    for kind, (what, size) in enumerate(faults):
        for number in range(1 + 13 * kind % every, len(made) + 1, every):
            shutil.rmtree(run, ignore_errors=True)
            place = f"{what} {size} at change {number} of {len(made)}, {made[number - 1]}"
            ended = struck(lambda: train(folder, "run"), run, folder, Fault(what, number, size))
            assert what not in ("die", "cut") or ended.code in (-9, -25) or (what == "cut" and not ended.code), (
                f"{place}: {ended}"
            )
            if what not in ("die", "cut") and ended.code:
                is_clear(ended, place)
            undo(run)
            goes_on(folder, place)
            tried += 1
    return tried


def undo(run: Path) -> None:
    """Give back the permission to write, and bring back what vanished."""
    gone = run.with_name(f"{run.name}, gone")
    if gone.exists():
        shutil.rmtree(run, ignore_errors=True)
        gone.rename(run)
    for path in [run, *run.rglob("*")] if run.exists() else []:
        path.chmod(0o700)


def again(folder: Path, every: int) -> int:
    """Let a finished run go on, which writes its bundle anew, and die on the way: a whole bundle is always there."""
    from inarch import checkpoint

    whole(folder)
    run, tried = folder / "run", 0
    shutil.copytree(folder / "whole", run)
    made = changes(lambda: train(folder, "run"), run, folder)
    for number in range(1, len(made) + 1, every):
        place = f"die at change {number} of {len(made)}, {made[number - 1]}"
        ended = struck(lambda: train(folder, "run"), run, folder, Fault("die", number))
        assert ended.code == -9, f"{place}: {ended}"
        bundles = [checkpoint.problem(run / name) for name in ("model", ".model.before") if (run / name).exists()]
        assert bundles and None in bundles, f"{place}: {bundles}"
        goes_on(folder, place)
        tried += 1
    return tried


def damaged(folder: Path, every: int) -> int:
    """Cut off, flip or remove each file of the newest checkpoint, and of both: what was passed over is said."""
    whole(folder)
    newest, older = sorted((folder / "whole" / "checkpoints").iterdir(), reverse=True)[:2]
    files = [path.relative_to(folder / "whole") for path in sorted(newest.iterdir())]
    damages = [
        (file, damage) for file in files for damage in ("empty", "half", "one less", "first", "middle", "removed")
    ]
    for tried, (file, damage) in enumerate(damages[::every], 1):
        shutil.rmtree(folder / "run", ignore_errors=True)
        shutil.copytree(folder / "whole", folder / "run")
        _spoil(folder / "run" / file, damage)
        both = tried % 2 == 0
        if both:
            _spoil(folder / "run" / "checkpoints" / older.name / file.name, damage)
        told = goes_on(folder, f"{file} {damage}{', both' if both else ''}")
        assert f"{newest.name} is broken and was passed over" in told, told
        assert ("no checkpoint to resume from" if both else f"resuming from {folder / 'run'}") in told, told
    return tried


def _spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "removed":
        path.unlink()
    elif damage in ("first", "middle"):
        content[0 if damage == "first" else len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[: {"empty": 0, "half": len(content) // 2, "one less": len(content) - 1}[damage]])
