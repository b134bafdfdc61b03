"""Several processes of one test, with a real process group (gloo) between them."""

import multiprocessing
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent


def run_group(script: Path, processes: int, *arguments: object, timeout: float = 120) -> None:
    """Run a script in `processes` processes that accelerate sees as one group; a failure shows what they wrote."""
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "toy")]),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "ACCELERATE_USE_CPU": "true",
    }
    command = [sys.executable, str(script), *map(str, arguments)]
    started = [
        subprocess.Popen(
            command,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else common_alone(common),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(processes)
    ]
    told = [process.communicate(timeout=timeout)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes, "\n".join(told)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def common_alone(environment: dict[str, str]) -> dict[str, str]:
    """One process needs no group."""
    group = {"MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}
    return {name: value for name, value in environment.items() if name not in group}


def fork_group(target: Callable[..., None], processes: int, *arguments: object, timeout: float = 120) -> None:
    """Run ``target(*arguments)`` likewise, in processes that start in a moment, for torch is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["inarch.workflows.train"])
    told = context.SimpleQueue()
    port = free_port()
    started = [context.Process(target=_member, args=(told, target, arguments, processes, rank, port), daemon=False)
               for rank in range(processes)]  # fmt: skip
    deadline = time.monotonic() + timeout
    for process in started:
        process.start()
    while any(process.exitcode is None for process in started) and time.monotonic() < deadline:
        if any(process.exitcode for process in started):  # the others wait for the one that failed
            deadline = min(deadline, time.monotonic() + 5)
        wait([process.sentinel for process in started if process.exitcode is None], 0.5)
    late = [process for process in started if process.exitcode is None]
    for process in late:
        process.kill()
        process.join()
    failures = []
    while not told.empty():
        failures.append(told.get())
    assert [process.exitcode for process in started] == [0] * processes, "\n".join(failures) or f"{len(late)} hung"


def _member(
    told: Any, target: Callable[..., None], arguments: Sequence[Any], processes: int, rank: int, port: int
) -> None:
    """One process of the group."""
    import torch
    from accelerate import PartialState

    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    common |= {"LOCAL_WORLD_SIZE": str(processes), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"ACCELERATE_USE_CPU": "true", **(common if processes > 1 else {})}
    torch.set_num_threads(1)
    try:
        target(*arguments)
        PartialState().destroy_process_group()
    except BaseException:
        told.put(f"process {rank} of {processes}:\n{traceback.format_exc()}")
        os._exit(1)
