"""Promise 1, asked in order: SIGTERM and SIGINT in every part of a run leave a checkpoint, soon, on all processes.

Then the run goes on and ends with the bits of one that was left alone. A second signal ends the process at once.
"""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from attempts.case import Case
from attempts.case_kill import Group, go
from attempts.case_signal import PLACES, SIGNALS, Ask, command_line
from attempts.case_small_runs import write
from attempts.kills import LIMIT, STRATEGIES, equal, group, leave_alone, train
from group import forked, free_port

from inarch import checkpoint

PROMISE = "1 exact resume"
SOON = 10
"""Seconds from a signal to the end of the process; on a machine that does nothing else it is less than one."""
TRAINING = ("waiting for a batch", "mid-accumulation", "in an evaluation", "writing a checkpoint")
"""Places at which there is a state to write, so that all processes must agree on the step."""


def cases(full: bool) -> list[Case]:
    """Return the chains of signals, each sent while the run goes on from where the one before ended it."""
    every = [Ask(place, number, 3 if place in TRAINING else 1) for place in PLACES for number in SIGNALS]
    if not full:
        few = [ask for index, ask in enumerate(every) if index % 4 in (0, 3)]
        pair = [Ask("mid-accumulation", signal.SIGTERM, 5, (1,)), Ask("in an evaluation", signal.SIGINT, 2, (0,))]
        return [
            _case("vectors", "full", 0, [*few, Ask("in an evaluation", signal.SIGTERM, 2, twice=True)]),
            _case("vectors", "lp_ft", 0, pair, 2),
        ]
    twice = [Ask(place, number, 2, twice=True) for place in TRAINING for number in SIGNALS]
    groups = [
        Ask(place, number, 2, asked) for place in TRAINING for number in SIGNALS for asked in ((0,), (1,), (0, 1))
    ]
    whole = [Ask(place, number, 2, (0, 1), readers=True) for place in TRAINING for number in SIGNALS]
    ends = [Ask(place, number, 1, (0, 1)) for place in PLACES if place not in TRAINING for number in SIGNALS]
    return [
        *(_case("vectors", name, workers, every) for name in STRATEGIES for workers in (0, 2)),
        *(_case("vectors", name, 0, twice) for name in ("full", "lp_ft")),
        *(_case("vectors", name, workers, groups, 2) for name in ("full", "gradual_unfreezing") for workers in (0, 2)),
        _case("vectors", "full", 2, whole, 2),
        _case("vectors", "full", 0, ends, 2),
        *(_case(domain, "full", 0, every) for domain in ("vision", "text", "audio")),
        *(Case(PROMISE, f"{signal.Signals(n).name} to a launcher", partial(_launched, n, False)) for n in SIGNALS),
        *(Case(PROMISE, f"{signal.Signals(n).name} twice to a launcher", partial(_launched, n, True)) for n in SIGNALS),
    ]


def _case(domain: str, strategy: str, workers: int, asks: list[Ask], processes: int = 1) -> Case:
    how = "twice at once" if asks[-1].twice and asks[0].twice else "one after the other"
    name = f"{domain}, {strategy}, {processes} process(es), {workers} workers, {len(asks)} signals {how}"
    return Case(PROMISE, name, partial(_signalled, domain, strategy, workers, asks, processes))


def _signalled(domain: str, strategy: str, workers: int, asks: list[Ask], processes: int, folder: Path) -> int:
    """Ask a run to end again and again; return how many signals came before it was over."""
    long = {"train": {"epochs": 12}} if processes > 1 else {}  # that every signal comes while they train
    recipe = write(domain, folder, {"strategy": STRATEGIES[strategy], **long})
    leave_alone(train, (recipe, {"train.workers": 0}), folder, processes)
    run, came = folder / "asked", 0
    arguments = ["train", str(recipe), f"train.workers={workers}", "--out", str(run), "--resume"]
    for ask in asks:
        came += _ask(arguments, ask, processes, folder / f"apart-{came}")
    group(train, (recipe, {"train.workers": workers}, run), processes, folder / "apart")
    equal(run, folder / "whole")
    return came


def _ask(arguments: list[str], ask: Ask, processes: int, home: Path) -> bool:
    """Go on with a run and ask it to end; see that it ends as it should, and return whether it was asked in time."""
    home.mkdir(exist_ok=True)
    port, run = free_port(), Path(arguments[arguments.index("--out") + 1])
    started = [
        forked().Process(target=go, args=(command_line, (arguments, ask, home), Group(n, processes, port), None, home))
        for n in range(processes)
    ]
    for process in started:
        process.start()
    ended = []
    for process in started:
        process.join(LIMIT)
        ended.append(time.monotonic())
    hangs = [process.is_alive() for process in started]
    for process in started:
        process.kill()
    told = "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(home.glob("told-*.txt")))
    assert not any(hangs), f"{ask}: hangs\n{told}"
    notes = [float(path.read_text()) for path in sorted(home.glob("asked-*.txt"))]
    noted = [(home / f"asked-{n}.txt").exists() for n in range(processes)]
    codes = [process.exitcode for process in started]
    if not notes:
        assert codes == [0] * processes, f"{ask}: {codes}\n{told}"
        return False
    trains = ask.place in TRAINING and "measuring test" not in told  # afterwards there is nothing to agree on
    agree = [n for n in range(processes) if trains or noted[n]]
    assert [codes[n] for n in agree] == [128 + ask.signal] * len(agree), f"{ask}: {codes}\n{told}"
    assert {*codes} <= {128 + ask.signal, 2}, f"{ask}: {codes}\n{told}"  # 2: the other one ended
    assert max(ended) - min(notes) < SOON, f"{ask}: {max(ended) - min(notes):.1f} s"
    assert "Traceback" not in told, f"{ask}: {told}"
    if ask.place in TRAINING and not ask.twice:
        found, passed_over = checkpoint.newest_good(run / "checkpoints")
        assert found is not None and not passed_over, f"{ask}: {passed_over}"
        assert found == sorted((run / "checkpoints").glob("step-*"))[-1]
        assert len(json.loads((found / "state.json").read_text())["random"]) == processes
    return True


def _launched(number: int, twice: bool, folder: Path) -> int:
    """Ask the launcher of two processes, as a terminal or a batch system does."""
    recipe = write("vectors", folder, {"strategy": "full", "train": {"epochs": 300}})
    command = [sys.executable, "-m", "inarch", "train", str(recipe), "--out", str(folder / "run"), "--processes", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and not list((folder / "run").glob("checkpoints/step-*")):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        started = time.monotonic()
        process.send_signal(number)
        if twice:
            time.sleep(0.1)
            process.send_signal(number)
        _, told = process.communicate(timeout=60)
    took = time.monotonic() - started
    assert process.returncode == 128 + number, f"{process.returncode}: {told}"
    assert took < (2 if twice else SOON), f"{took:.1f} s"
    assert "Traceback" not in told, told
    left = subprocess.run(["pgrep", "-f", str(folder / "run")], capture_output=True, text=True, check=False).stdout
    assert not left.split(), f"processes are left: {left}"
    found, _ = checkpoint.newest_good(folder / "run" / "checkpoints")
    assert found is not None
    return 1
