"""Many processes: the same metrics and predictions, and the same training, as one process.

The measured figures are compared as hashes and texts, byte for byte; trainings step by step, in float64.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from attempts.case import Case
from case_metrics import KINDS, evaluations, missing
from group import fork_group

EXACT, SAME = "3 exact metrics", "6 same training"
GROUPS = (2, 3, 4)

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


def cases(full: bool) -> list[Case]:
    lengths, batches = (range(1, 68), range(1, 10)) if full else ((1, 29), (2, 9))
    found = Evaluations(list(lengths), list(batches), full)

    def compared(kind: str, processes: int) -> Callable[[Path], int]:
        return lambda folder: compare(kind, processes, found, folder)

    told = f"lengths {lengths[0]} to {lengths[-1]}, batches of {batches[0]} to {batches[-1]}"
    return [Case(EXACT, "every head and metric that inarch ships is tried", nothing_is_forgotten)] + [
        Case(EXACT, f"{kind}, {told}, {processes} processes", compared(kind, processes))
        for kind in KINDS
        for processes in GROUPS
    ]
