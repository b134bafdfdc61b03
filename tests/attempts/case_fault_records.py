"""Every fault at every change of what writes checkpoints, records and stored features, without a training."""

import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from attempts.case_fault import Fault, apart, changes, struck


def _life(root: Path) -> None:
    """Write what a run writes, going on where it was: records, checkpoints, a bundle twice, the manifest."""
    import numpy as np
    from safetensors.numpy import save_file

    from inarch import checkpoint
    from inarch.workflows import directory, manifest

    with directory.locked(root):
        checkpoint.mend(root)
        manifest.unseal(root)
        checkpoint.write_atomically(root / "recipe.yaml", "name: x\n")
        found, _ = checkpoint.newest_good(root / "checkpoints")
        for step in range(int(found.name[-8:]) + 1 if found else 1, 6):
            needs = [checkpoint.step_directory(root, 2).name] if step > 2 else []
            with checkpoint.written_atomically(checkpoint.step_directory(root / "checkpoints", step), needs) as aside:
                save_file({"weights": np.full(300, step, np.float32)}, aside / "model.safetensors")
                (aside / "state.json").write_text(f'{{"step": {step}}}')
            checkpoint.clean(root / "checkpoints", step, [2 if step > 2 else None])
            checkpoint.write_atomically(root / "metrics.jsonl", "".join(f'{{"step": {n}}}\n' for n in range(step)))
        for text in ("first", "second"):
            with checkpoint.written_atomically(root / "model") as aside:
                (aside / "inner").mkdir()
                (aside / "inner" / "bundle.json").write_text(text * 100)
        manifest.seal(root)
        with manifest.rewriting(root, ["metrics.jsonl"]):
            checkpoint.write_atomically(root / "metrics.jsonl", "the end\n")


def _tree(root: Path) -> dict[str, bytes | None]:
    """Return what is in a folder, but for checkpoints that a process which died could not remove any more."""
    kept = sorted(root.glob("checkpoints/step-*"))[-1:]
    paths = [path for path in root.rglob("*") if path.parent.name != "checkpoints" or path in kept or not path.is_dir()]
    paths = [path for path in paths if path.parent.parent.name != "checkpoints" or path.parent in kept]
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in paths}


def lives(folder: Path, every: int) -> int:
    from inarch import checkpoint
    from inarch.workflows.verify import verify

    whole, run = folder / "whole", folder / "run"
    made = changes(lambda: _life(whole), whole, folder)
    expected, tried = _tree(whole), 0
    assert not [name for name in expected if Path(name).name.startswith(".")], expected.keys()
    first = next(number for number, change in enumerate(made) if change.startswith("os.rename") and "step" in change)
    renamed = [n for n, change in enumerate(made) if change.startswith("os.rename /.model.") and "before" not in change]
    for what, size in [("die", 0), ("fail", 0), ("cut", 0), ("cut", 100), ("full", 0), ("full", 700)]:
        for number in range(1 + tried % every, len(made) + 1, every):
            shutil.rmtree(run, ignore_errors=True)
            place = f"{what} {size} at change {number}, {made[number - 1]}"
            ended = struck(lambda: _life(run), run, folder, Fault(what, number, size))
            assert ended.code in ((-9,) if what == "die" else (-25, 0) if what == "cut" else (0, 2)), (
                f"{place}: {ended}"
            )
            assert ended.code != 2 or "untouched" in ended.told or f"{run}" in ended.told, f"{place}: {ended.told}"
            if number > first + 1:
                assert checkpoint.newest_good(run / "checkpoints")[0] is not None, (
                    f"{place}: no good checkpoint is left"
                )
            if run.exists():
                checkpoint.mend(run)
            if renamed and number > renamed[0] + 1:
                assert checkpoint.problem(run / "model") is None, f"{place}: the bundle is lost"
            again = apart(lambda: _life(run), folder)
            assert again.code == 0, f"{place}: {again.told}"
            assert _tree(run) == expected, f"{place}: {_difference(_tree(run), expected)}"
            assert verify(run).whole, place
            tried += 1
    return tried


def _difference(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return sorted(name for name in {*found, *expected} if found.get(name, 0) != expected.get(name, 0))


def _keep(root: Path) -> None:
    """Write a table in three parts, which are put together, and another one, for which the first gives way."""
    from stored import ABOUT, rows_of

    from inarch.features.store import Store

    store = Store(root)
    table = store.table(ABOUT)
    for start in (0, 3):
        table.write(*rows_of(range(start, start + 3)), partial=True)
    table.write(*rows_of(range(6, 9)))
    table.verify()
    store.table({**ABOUT, "weights": "4567"}).write(*rows_of(range(9, 12)))
    with suppress(OSError):  # the command line tells it
        store.make_room(store.limit - 900, None)


def stores(folder: Path, every: int) -> int:
    root, tried = folder / "features of a case", 0
    made = changes(lambda: _keep(root), root, folder)
    assert sum(change.startswith("os.rename") for change in made) > 6, made
    for what, size in [("die", 0), ("fail", 0), ("cut", 0), ("cut", 100), ("full", 0), ("full", 150)]:
        for number in range(1 + tried % every, len(made) + 1, every):
            shutil.rmtree(root, ignore_errors=True)
            place = f"{what} {size} at change {number}, {made[number - 1]}"
            ended = struck(lambda: _keep(root), root, folder, Fault(what, number, size))
            assert ended.code in ((-9,) if what == "die" else (-25, 0) if what == "cut" else (0,)), f"{place}: {ended}"
            for action in (_refuse_wrong_features, _keep, _refuse_wrong_features):
                again = apart(partial(action, root), folder)
                assert again.code == 0, f"{place}: {again}"
            assert not [path for path in root.rglob(".*") if path.name.startswith(".")], f"{place}: left behind"
            tried += 1
    shutil.rmtree(root)
    return tried + _damaged_features(root, every)


def _refuse_wrong_features(root: Path) -> None:
    """Every value that is said to be whole must be what was written."""
    from stored import ABOUT, key, rows_of

    from inarch.features.store import Store

    for about, numbers in ((ABOUT, range(9)), ({**ABOUT, "weights": "4567"}, range(9, 12))):
        values, whole = Store(root).table(about).read([key(number) for number in numbers])
        assert values is None or (values[whole] == rows_of(numbers)[1][whole]).all()


def _damaged_features(root: Path, every: int) -> int:
    """Cut off or flip a shard at many places: what is damaged is not given, and is there again once it is written."""
    from stored import ABOUT, key, rows_of

    from inarch.features.store import Store

    numbers, tried = range(9), 0
    Store(root).table(ABOUT).write(*rows_of(numbers))
    [shard] = root.rglob("*.safetensors")
    before = shard.read_bytes()
    for place in range(0, len(before), every):
        flipped = bytearray(before)
        flipped[place] ^= 1 << place % 8
        for content in (before[:place], bytes(flipped)):
            shard.write_bytes(content)
            _refuse_wrong_features(root)
            Store(root).table(ABOUT).write(*rows_of(numbers))
            values, whole = Store(root).table(ABOUT).read([key(number) for number in numbers])
            assert values is not None and whole.all(), f"byte {place}"
            assert [path.read_bytes() for path in root.rglob("*.safetensors")] == [before], f"byte {place}"
            tried += 1
    return tried
