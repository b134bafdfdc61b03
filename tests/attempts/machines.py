"""Several machines: two train one run under a launcher with rendezvous; one is killed, cut off, or stands still.

A machine is a network namespace, with a link to the other, a disk in common, and something that starts a launcher that
failed again, as Kubernetes or a loop in a shell does. Without root both machines are this one, and a process dies.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
from attempts.case import Case
from conftest import RECIPE, TOY, write_vectors
from cuts import ending
from group import fork_group, free_port

import inarch

PROMISE = "machines"
RENDEZVOUS = 29400
HEARTBEAT = {"keep_alive_interval": 2, "keep_alive_max_attempt": 3, "read_timeout": 15}  # seconds; a dead agent: 6
FRESH_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Or torch 2.11 starts a group again with the addresses of the one that died, and a new launcher cannot join at all."""
TIMEOUT = 8  # seconds that a worker waits for another
LONGEST = 300  # seconds of a case
_numbers = itertools.count()


class Machine(NamedTuple):
    """A machine: how to run a command there, its address, and the interface that has it."""

    prefix: list[str]
    address: str
    interface: str


@contextmanager
def two_machines(apart: bool) -> Iterator[list[Machine]]:
    """Give two machines with a link between them; not apart: twice this one."""
    if not apart:
        yield [Machine([], "127.0.0.1", "lo")] * 2
        return
    names = [f"i{os.getpid() % 100_000}x{next(_numbers)}{side}" for side in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", names[0], "netns", names[0], "type", "veth", "peer", "name", names[1], "netns", names[1])
        for number, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", name, "up")
        yield [
            Machine(["ip", "netns", "exec", name], f"10.77.0.{number}", name) for number, name in enumerate(names, 1)
        ]
    finally:
        for name in names:
            for process in ip("netns", "pids", name, check=False).split():
                os.kill(int(process), signal.SIGKILL)
            ip("netns", "del", name, check=False)


def ip(*arguments: str, check: bool = True) -> str:
    """Run iproute2."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30, check=check)
    return done.stdout


Launcher = Callable[[list[Machine], int, int], list[str]]


def torchrun(machines: list[Machine], number: int, port: int) -> list[str]:
    """Return the command of machine `number`; the first is where they meet."""
    beat = ",".join(f"{name}={value}" for name, value in {**HEARTBEAT, "is_host": int(number == 0)}.items())
    return [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=9",
            "--rdzv-backend=c10d", "--rdzv-id=run", f"--rdzv-endpoint={machines[0].address}:{port}",
            f"--rdzv-conf={beat}", f"--local-addr={machines[number].address}", "--monitor-interval=0.1"]  # fmt: skip


def accelerate_launch(machines: list[Machine], number: int, port: int) -> list[str]:
    """Return the same by accelerate, whose machines have numbers and meet once."""
    return [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines=2", "--num_processes=2",
            f"--machine_rank={number}", f"--main_process_ip={machines[0].address}", f"--main_process_port={port}",
            "--max_restarts=9", "--monitor_interval=0.1", "--mixed_precision=no", "--dynamo_backend=no"]  # fmt: skip


class Job:
    """A run on two machines, under way in a folder that both see."""

    def __init__(self, folder: Path, recipe: Path, machines: list[Machine], launcher: Launcher, apart: bool) -> None:
        self.folder, self.recipe, self.machines, self.launcher = folder, recipe, machines, launcher
        self.run, self.port = folder / "run", RENDEZVOUS if apart else free_port()
        self.deadline = time.monotonic() + LONGEST
        self.agents: list[subprocess.Popen[bytes]] = []
        self.started = 0

    def start(self, number: int) -> None:
        """Start the launcher of a machine; what all of them say is in one file."""
        machine = self.machines[number]
        paths = os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        environment = {**os.environ, **FRESH_STORE, "PYTHONPATH": paths, "GLOO_SOCKET_IFNAME": machine.interface,
                       "OMP_NUM_THREADS": "1", "INARCH_TIMEOUT": str(TIMEOUT), "ACCELERATE_USE_CPU": "true",
                       "NO_COLOR": "1"}  # fmt: skip
        train = ["-m", "inarch", "train", str(self.recipe), "--out", str(self.run), "--resume"]
        command = [*machine.prefix, *self.launcher(self.machines, number, self.port), *train]
        with (self.folder / "said.txt").open("ab") as said:
            agent = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
        self.agents[number : number + 1] = [agent]
        self.started += 1

    def said(self) -> str:
        """Return what the launchers and their workers said so far."""
        return (self.folder / "said.txt").read_text(errors="replace")

    def newest(self) -> int:
        """Return the step of the newest checkpoint."""
        return max((int(path.name[5:]) for path in (self.run / "checkpoints").glob("step-*")), default=0)

    def wait(self, done: Callable[[], object], what: str) -> float:
        """Wait for something; return the seconds that it took."""
        started = time.monotonic()
        while not done():
            assert time.monotonic() < self.deadline, f"{what}: not in time\n{self.said()[-6000:]}"
            time.sleep(0.01)
        return time.monotonic() - started

    def until_step(self, step: int) -> None:
        """Wait until a checkpoint of the step, or a later one, is there, in the midst of the training."""
        self.wait(lambda: self.newest() >= step, f"step {step}")
        assert not (self.run / "model").exists(), "the run was over before it could be disturbed"

    def workers(self, number: int) -> list[psutil.Process]:
        """Return the processes that train on a machine."""
        return psutil.Process(self.agents[number].pid).children()

    def kill(self, number: int) -> None:
        """End a machine's processes at once, as a loss of power does."""
        everything = psutil.Process(self.agents[number].pid).children(recursive=True)
        self.agents[number].kill()
        for process in everything:
            with_no_complaint(process.kill)
        self.agents[number].wait(10)

    def tend(self) -> bool:
        """Start launchers that failed again, nine times at most; say whether both have ended well."""
        for number, agent in enumerate(self.agents):
            if agent.poll():
                assert self.started < 11, self.said()[-6000:]
                self.start(number)
        return all(agent.poll() == 0 for agent in self.agents)

    def clear(self) -> None:
        """Leave no process."""
        for number, agent in enumerate(self.agents):
            if agent.poll() is None:
                self.kill(number)


def with_no_complaint(action: Callable[[], object]) -> None:
    """Do something to a process that may have ended by itself."""
    with suppress(psutil.NoSuchProcess):
        action()


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


def recipe_in(folder: Path) -> Path:
    """Write a recipe of 48 steps, each with a checkpoint, over data that every machine sees."""
    path = folder / "toy.yaml"
    written = RECIPE.format(path=write_vectors(folder / "vectors.csv"))
    path.write_text(written.replace("epochs: 2", "epochs: 8, checkpoint_every: 1"), encoding="utf-8")
    return path


def train(recipe: Path, out: Path) -> None:
    """Train as one of several processes of one machine, which nobody disturbs."""
    inarch.train(recipe, out=out)


def attempt(disturb: Disturbance, launcher: Launcher, apart: bool, goes_on: bool, folder: Path) -> int:
    """Train on two machines while something happens to them; the run must end with the bits of one left alone.

    goes_on: the workers survive it; otherwise the run must have been resumed.
    """
    recipe = recipe_in(folder)
    fork_group(train, 2, recipe, folder / "alone")
    with two_machines(apart) as machines:
        job = Job(folder, recipe, machines, launcher, apart)
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
    assert ending(job.run) == ending(folder / "alone"), said[-6000:]
    print(
        f"       a new checkpoint {seconds:.1f} s after it; {job.started - 2} launchers started again", file=sys.stderr
    )
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
