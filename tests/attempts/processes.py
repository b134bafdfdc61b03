"""Many processes: the same metrics and predictions, and the same training, as one process.

The measured figures are compared as hashes and texts, byte for byte; trainings step by step, in float64.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

from attempts.case import Case
from attempts.case_metrics import KINDS, evaluations, missing
from attempts.case_training import FITTED, OF_HEADS, SETTINGS, plain_training, training, write_recipe
from attempts.case_writes import watched
from group import fork_group
from pytest import approx

EXACT, SAME = "3 exact metrics", "6 same training"
GROUPS = (2, 3, 4)
QUICK = ("classifier of 5 classes", "tagger of segments")

WRITERS: dict[str, dict[str, Any]] = {
    "full": {"strategy": "full", "train.ema": 0.9, "train.checkpoint_every": 2, "train.tracker": "tensorboard"},
    "linear_probe": {"strategy": "linear_probe"},
    "soup": {"strategy": "soup"},
    "auto": {"strategy": "auto"},
}

Hashes = Mapping[str, Mapping[str, str]]


class Evaluations:
    """What groups of processes evaluate, found once for all cases: an evaluation for each head, length and batch."""

    def __init__(self, *wanted: Any) -> None:
        self.wanted, self.lock = wanted, Lock()
        self.found: dict[int, list[Hashes]] = {}

    def of(self, processes: int, folder: Path) -> list[Hashes]:
        """What each process of a group found."""
        with self.lock:
            if processes not in self.found:
                place = folder / str(processes)
                place.mkdir()
                fork_group(evaluations, processes, place, *self.wanted, timeout=6 * 3600)
                read = [json.loads((place / f"{rank}.json").read_text()) for rank in range(processes)]
                self.found[processes] = read
        return self.found[processes]


def compare(kind: str, processes: int, all_of_them: Evaluations, folder: Path) -> int:
    """Fail if a group wrote, measured or saw anything else than one process."""
    [alone], group = all_of_them.of(1, folder), all_of_them.of(processes, folder)
    names = [name for name in alone if name.startswith(f"{kind}, ")]
    for name in names:
        assert group[0][name] == alone[name], f"{name}, {processes} processes: {group[0][name]}, alone {alone[name]}"
        for rank, other in enumerate(group[1:], start=1):
            assert other[name]["seen"] == alone[name]["seen"], f"{name}: process {rank} of {processes} saw another"
    return len(names)


def nothing_is_forgotten(folder: Path) -> int:
    """Fail if inarch ships a metric or a head that is not tried here."""
    assert missing() == []
    return len(KINDS)


def same_training(folder: Path, kind: str, setting: str, groups: Sequence[int]) -> int:
    """Fail if groups of processes trained on other batches than one process, or came to other losses."""
    recipe = write_recipe(kind, folder)
    options = {**SETTINGS[setting], **OF_HEADS.get(kind, {})}
    for processes in (1, *groups):
        fork_group(training, processes, recipe, options, folder / str(processes), timeout=600)
    [alone], alone_line = steps_of(folder / "1", 1), last_line(folder / "1")
    assert sum(bool(step["rows"]) for step in alone) > len(alone) / 2  # a row alone in its step may be unreadable
    for processes in groups:
        group, told = steps_of(folder / str(processes), processes), f"{kind}, {setting}, {processes} processes"
        assert [len(steps) for steps in group] == [len(alone)] * processes, told
        for number, (one, *parts) in enumerate(zip(alone, *group, strict=True), start=1):
            rows = [row for part in parts for row in part["rows"]]
            assert rows == one["rows"], f"{told}: other rows in step {number}"
            for part in parts:
                assert part["loss"] == approx(one["loss"], rel=1e-6, abs=1e-12, nan_ok=True), f"{told}: step {number}"
        assert last_line(folder / str(processes)) == approx(alone_line, rel=1e-6, abs=1e-12), told
    return len(groups)


def steps_of(run: Path, processes: int) -> list[list[dict[str, Any]]]:
    return [json.loads((run / f"{rank}.json").read_text()) for rank in range(processes)]


def last_line(run: Path) -> list[float]:
    """The last losses on train and valid."""
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    return [line["train"]["loss"], line["valid"]["loss"]]


def same_bits(folder: Path, kind: str, processes: int) -> int:
    """Fail if a training whose data is read by two more processes ends with other bits."""
    recipe, ends = write_recipe(kind, folder), []
    for workers in (0, 2):
        options = {"strategy": "full", "train.workers": workers, "train.batch_size": 7, **OF_HEADS.get(kind, {})}
        fork_group(plain_training, processes, recipe, options, folder / str(workers), timeout=600)
        run = folder / str(workers)
        written = ("metrics.jsonl", "model/model.safetensors", "predictions/test.jsonl", "predictions/test.safetensors")
        ends.append([(run / name).read_bytes() for name in written])
    assert ends[0] == ends[1]
    return 1


def one_writer(folder: Path, kind: str, options: Mapping[str, Any]) -> int:
    """Fail if two of three processes write the same file of a run, or if any is not the main process'."""
    run = folder / "run"
    fork_group(watched, 3, write_recipe(kind, folder), options, run, timeout=600)
    written = [set(json.loads((folder / f"{rank}.writes.json").read_text())) for rank in range(3)]
    assert {str(run), str(run / "metrics.jsonl"), str(run / "results.json")} <= written[0]
    assert not written[0] & written[1] and not written[0] & written[2] and not written[1] & written[2], written[1:]
    open_to_all = [path for path in run.rglob("*") if path.suffix != ".safetensors"]  # these never are
    others = [path for path in open_to_all if not path.stat().st_mode & 0o004]
    assert not others, f"not written by the main process, as their permissions say: {others}"
    return len(written[0])


def cases(full: bool) -> list[Case]:
    """Return them."""
    return [*_metrics(full), *_trainings(full)]


def _metrics(full: bool) -> list[Case]:
    lengths, batches = (range(1, 68), range(1, 10)) if full else ((1, 29), (2, 9))
    found = Evaluations(list(lengths), list(batches), full)
    told = f"lengths {lengths[0]} to {lengths[-1]}, batches of {batches[0]} to {batches[-1]}"
    return [Case(EXACT, "every head and metric that inarch ships is tried", nothing_is_forgotten)] + [
        Case(EXACT, f"{kind}, {told}, {processes} processes", partial(compare, kind, processes, found))
        for kind in KINDS
        for processes in GROUPS
    ]


def _trainings(full: bool) -> list[Case]:
    kinds = [kind for kind in KINDS if kind not in ("knn", "ctc with a beam")]  # nothing to step; ctc is there
    stepped = [pair for pair in product(kinds, SETTINGS) if not (pair[0].startswith(FITTED) and _is_phased(pair[1]))]
    chosen = stepped if full else list(zip(QUICK, SETTINGS, strict=False))
    groups = (2, 4) if full else (3,)
    trained = [
        Case(SAME, f"{kind}, {setting}, {groups} processes",
             partial(same_training, kind=kind, setting=setting, groups=groups))
        for kind, setting in chosen
    ]  # fmt: skip
    wrote = [
        Case(SAME, f"one process writes each file: {name}",
             partial(one_writer, kind="classifier of 2 classes", options=options))
        for name, options in (WRITERS if full else {"full": WRITERS["full"]}).items()
    ]  # fmt: skip
    read = product(kinds, (1, 2)) if full else ()
    return [*trained, *wrote] + [
        Case(SAME, f"{kind}, 0 and 2 workers, processes: {processes}",
             partial(same_bits, kind=kind, processes=processes))
        for kind, processes in read
    ]  # fmt: skip


def _is_phased(setting: str) -> bool:
    return setting.startswith(("lp_ft", "gradual"))
