"""Two machines, and a run on them: network namespaces with a link between them, or twice this machine."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from conftest import TOY
from group import free_port

RENDEZVOUS = 29400
HEARTBEAT = {"keep_alive_interval": 2, "keep_alive_max_attempt": 3, "read_timeout": 15}  # seconds; a dead agent: 6
FRESH_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Or torch 2.11 starts a group again with the addresses of the one that died, and a new launcher cannot join at all."""
TIMEOUT = 8  # seconds that a worker waits for another
LONGEST = 420  # seconds of a case
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
    return [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=9",
            "--rdzv-backend=c10d", "--rdzv-id=run", f"--rdzv-endpoint={machines[0].address}:{port}",
            f"--rdzv-conf={rendezvous(number)}", "--monitor-interval=0.1"]  # fmt: skip


def accelerate_launch(machines: list[Machine], number: int, port: int) -> list[str]:
    """Return the same for accelerate's launcher."""
    return [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines=2", "--num_processes=2",
            f"--machine_rank={number}", f"--main_process_ip={machines[0].address}", f"--main_process_port={port}",
            "--rdzv_backend=c10d", f"--rdzv_conf={rendezvous(number)}", "--max_restarts=9", "--monitor_interval=0.1",
            "--mixed_precision=no", "--dynamo_backend=no"]  # fmt: skip


def rendezvous(number: int) -> str:
    """Return how launchers meet: at the first; by its address alone torch would not know that it is there."""
    return ",".join(f"{name}={value}" for name, value in {**HEARTBEAT, "is_host": int(number == 0)}.items())


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
                       "PET_LOCAL_ADDR": machine.address, "OMP_NUM_THREADS": "1", "INARCH_TIMEOUT": str(TIMEOUT),
                       "ACCELERATE_USE_CPU": "true", "NO_COLOR": "1"}  # fmt: skip
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
