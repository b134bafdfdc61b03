"""Several machines: two train one run under a launcher with rendezvous; one is killed, cut off, or stands still.

A machine is a network namespace, with a link to the other, a disk in common, and something that starts a launcher that
failed again, as Kubernetes or a loop in a shell does. Without root both machines are this one, and a process dies.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from attempts.case import Case
from attempts.case_machines import TIMEOUT, Job, Launcher, accelerate_launch, ip, torchrun, two_machines
from conftest import RECIPE, write_vectors
from cuts import ending
from group import fork_group

import inarch

PROMISE = "machines"
Disturbance = Callable[[Job], None]


def leave_alone(job: Job) -> None:
    """Do nothing."""


def kill_worker(number: int, steps: Sequence[int], job: Job) -> None:
    """Kill the worker of a machine, at each of the steps."""
    for step in steps:
        job.until_step(step)
        job.workers(number)[0].kill()
        time.sleep(0.5)  # or the launcher would not have seen it, and its successor of the next step be this one


def kill_machine(number: int, pause: float, job: Job) -> None:
    """Kill a machine's launcher and worker, and start the launcher again after a pause of so many seconds."""
    job.until_step(5)
    job.kill(number)
    time.sleep(pause)
    job.start(number)


def cut(seconds: float, job: Job) -> None:
    """Cut the link for so many seconds."""
    job.until_step(5)
    name = job.machines[1].interface
    ip("-n", name, "link", "set", name, "down")
    time.sleep(seconds)
    ip("-n", name, "link", "set", name, "up")


def stop_worker(job: Job) -> None:
    """Let a worker stand still for ever; that the other waited for it in vain is told."""
    job.until_step(5)
    job.workers(1)[0].suspend()
    job.wait(lambda: f"INARCH_TIMEOUT ({TIMEOUT} s)" in job.said(), "a word of the one that waits")


def terminate(job: Job) -> None:
    """Ask both launchers to end, as a scheduler does that needs the machines."""
    job.until_step(5)
    for agent in job.agents:
        agent.terminate()
    job.wait(lambda: all(agent.poll() is not None for agent in job.agents), "the end")


class Alone(NamedTuple):
    """A recipe, and how a run of it ends that two processes of one machine train and nobody disturbs."""

    folder: TemporaryDirectory[str]
    recipe: Path
    ending: tuple[str, str, str]


@cache
def alone() -> Alone:
    """Train a recipe of 48 steps, each with a checkpoint, over data that every machine sees."""
    held = TemporaryDirectory()
    folder = Path(held.name)
    recipe = folder / "toy.yaml"
    written = RECIPE.format(path=write_vectors(folder / "vectors.csv"))
    recipe.write_text(written.replace("epochs: 2", "epochs: 8, checkpoint_every: 1"), encoding="utf-8")
    fork_group(train, 2, recipe, folder / "run")
    return Alone(held, recipe, ending(folder / "run"))


def train(recipe: Path, out: Path) -> None:
    """Train as one of several processes."""
    inarch.train(recipe, out=out)


def attempt(disturb: Disturbance, launcher: Launcher, apart: bool, goes_on: bool, folder: Path) -> int:
    """Train on two machines while something happens to them; the run must end with the bits of one left alone.

    goes_on: the workers survive it; otherwise the run must have been resumed.
    """
    with two_machines(apart) as machines:
        job = Job(folder, alone().recipe, machines, launcher, apart)
        try:
            for number in range(2):
                job.start(number)
            disturb(job)
            before = job.newest()
            seconds = job.wait(lambda: job.tend() or job.newest() > before, "resumption")
            job.wait(job.tend, "the end")
        finally:
            job.clear()
    said = job.said()
    assert ("resuming from" in said) != goes_on, said[-6000:]
    assert ending(job.run) == alone().ending, said[-6000:]
    again = f"{job.started - 2} launchers started again"
    print(f"       a new checkpoint {seconds:.1f} s after it; {again}", file=sys.stderr, flush=True)
    return 1


def cases(full: bool) -> list[Case]:
    """Return the attempts: on this machine alone a worker dies; with root, everything that happens to machines."""

    def case(name: str, disturb: Disturbance, launcher: Launcher = torchrun, goes_on: bool = False) -> Case:
        return Case(PROMISE, name, partial(attempt, disturb, launcher, True, goes_on))

    if not full:
        alone = partial(attempt, partial(kill_worker, 1, [5]), torchrun, False, False)
        return [Case(PROMISE, "two launchers on one machine, a worker killed", alone)]
    if os.geteuid() != 0 or shutil.which("ip") is None:
        print("machines: left out, for network namespaces need root and the command ip", file=sys.stderr)
        return []
    return [
        case("undisturbed", leave_alone, goes_on=True),
        case("undisturbed, accelerate launch", leave_alone, accelerate_launch, goes_on=True),
        case("the second's worker killed", partial(kill_worker, 1, [5])),
        case("the first's worker killed twice", partial(kill_worker, 0, [5, 20])),
        case("a worker killed, accelerate launch", partial(kill_worker, 1, [5]), accelerate_launch),
        case("a worker stands still", stop_worker),
        case("the second machine killed, back at once", partial(kill_machine, 1, 0)),
        case("the second machine killed, back after 10 s", partial(kill_machine, 1, 10)),
        case("the machine where they meet killed, back at once", partial(kill_machine, 0, 0)),
        case("the machine where they meet killed, back after 10 s", partial(kill_machine, 0, 10)),
        case("the link cut for 3 s", partial(cut, 3), goes_on=True),
        case("the link cut for 12 s, longer than workers wait", partial(cut, 12)),
        case("both asked to end", terminate),
    ]
