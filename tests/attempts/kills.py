"""Promise 1: killed anywhere and resumed, a run ends with the same bits as one that was left alone.

Every case is a network, a strategy, a number of processes and one of loader workers, and a chain of kills: each comes
while the run goes on from where the one before left it. A run that was over before its kill does not count.
"""

import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from attempts.case import Case
from attempts.case_kill import Group, Kill, go
from attempts.case_small_runs import DOMAINS, write
from group import forked, free_port

from inarch.checkpoint import file_hash

PROMISE = "1 exact resume"
LIMIT = 120
"""Seconds after which a process hangs."""
PROBE: Any = {"name": "linear_probe"}
STRATEGIES: dict[str, Any] = {
    "full": "full",
    "linear_probe": PROBE,
    "lp_ft": "lp_ft",
    "lora": "lora",
    "gradual_unfreezing": {"name": "gradual_unfreezing", "groups": 2},
}
LADDER = {"name": "auto", "rungs": ["linear_probe", "lora", "full"], "look_further": True}


def chains(strategy: str, fitted: bool, processes: int) -> dict[int, list[Kill]]:
    """Return the kills of a run for each number of loader workers; with several processes one may go alone."""
    alone, last = processes > 1, processes - 1
    if fitted:
        return {
            0: [Kill("in an evaluation", 2, last, alone), Kill("writing a checkpoint", 3), Kill("writing results")],
            2: [Kill("renaming a checkpoint", 1, 0, alone), Kill("writing the bundle", 2), Kill("any time", 0.3)],
        }
    between = [Kill("between phases", 1, last, alone)] if strategy in ("lp_ft", "gradual_unfreezing") else []
    return {
        0: [
            Kill("in a step", 5, last, alone),
            Kill("writing a checkpoint", 2),
            Kill("in an evaluation", 2, 0, alone),
            Kill("writing the bundle", 1),
        ],
        2: [
            *between,
            Kill("after a step", 3, last),
            Kill("writing metrics", 1, 0, alone),
            Kill("removing a checkpoint", 1),
            Kill("renaming a checkpoint", 1, 0, alone),
            Kill("any time", 0.4),
        ],
    }


def cases(full: bool) -> list[Case]:
    """Return every combination and what is made of several runs, or a few of them."""
    if not full:
        picked = [("vectors", "lp_ft", 2), ("vision", "full", 1), ("text", "linear_probe", 1), ("audio", "lora", 1)]
        return [_case(domain, strategy, processes, (0,)) for domain, strategy, processes in picked]
    return [
        *(
            _case(domain, strategy, processes, (0, 2))
            for domain in DOMAINS
            for strategy in STRATEGIES
            for processes in (1, 2)
        ),
        *(Case(PROMISE, f"vectors, {name}, at any time", partial(_storm, name)) for name in STRATEGIES),
        Case(PROMISE, "vectors, the ladder", partial(_several_runs, train, {"train.workers": 0}, LADDER)),
        Case(PROMISE, "vectors, a comparison", partial(_several_runs, compare, ["full", "linear_probe"], "full")),
    ]


def _case(domain: str, strategy: str, processes: int, workers: Sequence[int]) -> Case:
    several = "1 process" if processes == 1 else f"{processes} processes"
    name = f"{domain}, {strategy}, {several}, workers {' and '.join(map(str, workers))}"
    return Case(PROMISE, name, partial(_killed, domain, strategy, processes, workers))


def _killed(domain: str, strategy: str, processes: int, workers: Sequence[int], folder: Path) -> int:
    """Kill a run again and again for each number of workers; return how many kills came in time."""
    by_steps = strategy == "linear_probe" and domain in ("vision", "audio")
    chosen = {**PROBE, "solver": "steps"} if by_steps else STRATEGIES[strategy]
    recipe = write(domain, folder, {"strategy": chosen})
    seconds = leave_alone(train, (recipe, {"train.workers": 0}), folder, processes)
    planned = chains(strategy, strategy == "linear_probe" and not by_steps, processes)
    landed = 0
    for number in workers:
        run, options = folder / f"killed, workers {number}", {"train.workers": number}
        for kill in planned[number]:
            came = group(train, (recipe, options, run), processes, folder / "apart", kill, seconds)
            assert came or kill.place == "any time", f"{kill}: never reached"
            landed += came
        group(train, (recipe, options, run), processes, folder / "apart")
        equal(run, folder / "whole")
    return landed


def _storm(strategy: str, folder: Path) -> int:
    """Kill a run at any time, later and later; return how many kills came in time."""
    recipe = write("vectors", folder, {"strategy": STRATEGIES[strategy]})
    arguments = recipe, {"train.workers": 2}
    seconds = leave_alone(train, arguments, folder, 1)
    landed = 0
    for share in range(1, 10):
        kill = Kill("any time", share / 10)
        landed += group(train, (*arguments, folder / "killed"), 1, folder / "apart", kill, seconds)
    group(train, (*arguments, folder / "killed"), 1, folder / "apart")
    equal(folder / "killed", folder / "whole")
    return landed


def _several_runs(action: Callable[..., object], options: Any, strategy: Any, folder: Path) -> int:
    """Kill what is made of several runs, in one run after the other; return how many kills came in time."""
    recipe = write("vectors", folder, {"strategy": strategy})
    leave_alone(action, (recipe, options), folder, 1)
    kills = [Kill("in an evaluation", 2), Kill("writing the bundle"), Kill("in a step", 6), Kill("writing results"),
             Kill("writing a checkpoint", 3), Kill("in an evaluation", 2), Kill("writing results")]  # fmt: skip
    landed = sum(group(action, (recipe, options, folder / "killed"), 1, folder / "apart", kill) for kill in kills)
    assert landed >= 3, f"{landed} kills came in time"
    group(action, (recipe, options, folder / "killed"), 1, folder / "apart")
    equal(folder / "killed", folder / "whole")
    return landed


def leave_alone(action: Callable[..., object], arguments: tuple[Any, ...], folder: Path, processes: int) -> float:
    """Leave a run alone; return the seconds that it took."""
    started = time.monotonic()
    group(action, (*arguments, folder / "whole"), processes, folder)
    return time.monotonic() - started


def equal(killed: Path, whole: Path) -> None:
    """Assert that weights, figures and predictions of all runs in two folders are the same, bit by bit."""
    kinds = ("**/model/model.safetensors", "**/metrics.jsonl", "**/predictions/*.*")
    one, other = (
        {str(path.relative_to(run)): file_hash(path) for kind in kinds for path in run.glob(kind)}
        for run in (killed, whole)
    )
    assert len(other) >= 4, f"{whole}: {sorted(other)}"
    differing = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    assert not differing, f"{killed.name} differs in {sorted(differing)}"


def train(recipe: Path, options: dict[str, Any], out: Path) -> None:
    """Begin a run, or go on with it."""
    import inarch

    inarch.train(recipe, options, out=out, resume=True)


def compare(recipe: Path, strategies: list[str], out: Path) -> None:
    """Begin a comparison, or go on with it."""
    from inarch.workflows.compare import compare as compare_all

    found = compare_all(recipe, strategies, 2, out=out)
    assert not found.failed, found.failed


def group(
    action: Callable[..., object],
    arguments: tuple[Any, ...],
    processes: int,
    home: Path,
    kill: Kill | None = None,
    seconds: float = 0,
) -> bool:
    """Do something in processes of one group, and kill them; return whether the kill came before it was done.

    home: where features are stored, and what processes say. seconds: what it takes without a kill.
    """
    home.mkdir(exist_ok=True)
    port = free_port()
    started = [
        forked().Process(target=go, args=(action, arguments, Group(rank, processes, port), kill, home))
        for rank in range(processes)
    ]
    for process in started:
        process.start()
    if kill is not None and kill.place == "any time":
        wait([process.sentinel for process in started], kill.number * seconds)
        for process in started:
            process.kill()
    elif processes > 1 and kill is not None:
        wait([started[kill.process].sentinel], LIMIT)
        for process in () if kill.alone else started:
            process.kill()
    for process in started:
        process.join(LIMIT)
    hangs = [rank for rank, process in enumerate(started) if process.is_alive()]
    for process in started:
        process.kill()
        process.join()
    told = "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(home.glob("told-*.txt")))
    assert not hangs, f"{kill}: process {hangs} is left and hangs:\n{told}"
    came = kill is not None and started[kill.process].exitcode == -signal.SIGKILL
    if not came:
        assert [process.exitcode for process in started] == [0] * processes, f"{kill}: {told}"
    return came
