"""Several processes of one test, with a real process group (gloo) between them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def run_group(script: Path, processes: int, *arguments: object, timeout: float = 120) -> None:
    """Run a script in `processes` processes that accelerate sees as one group; a failure shows what they wrote."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "toy")]),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
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


def common_alone(environment: dict[str, str]) -> dict[str, str]:
    """One process needs no group."""
    group = {"MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}
    return {name: value for name, value in environment.items() if name not in group}
