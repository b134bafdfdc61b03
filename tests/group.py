"""Several processes of one test, with a real process group (gloo) between them."""

import multiprocessing
import os
import runpy
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
PRELOADED = [
    "inarch.workflows.train", "inarch.workflows.compare", "inarch_vision.backbones", "inarch_text.backbones",
    "inarch_audio.transformers_models", "torchmetrics.classification", "timm.models", "peft", "pandas", "pyarrow",
    "soundfile", "PIL.Image", "inarch.testing.catalogue", "inarch.testing.backbone_facts", "inarch.testing.heads",
    "inarch.testing.backbone_state", "inarch.testing.backbone_inputs", "inarch.testing.backbone_layers",
    "inarch.testing.head_answers", "inarch.testing.metrics", "inarch.testing.datasets", "inarch.testing.strategies",
    "inarch.testing.strategy_runs", "inarch.testing.plugins",
]  # fmt: skip
"""What takes seconds to import. One server forks for all tests of a process, so its list is that of all of them."""


def run_group(script: Path, processes: int, *arguments: object, timeout: float = 120) -> None:
    """Run a script in `processes` processes that accelerate sees as one group; a failure shows what they told."""
    fork_group(_run_script, processes, str(script), [str(argument) for argument in arguments], timeout=timeout)


def _run_script(script: str, arguments: Sequence[str]) -> None:
    """Run a script as Python's command line does."""
    paths = [str(Path(script).parent), str(TESTS), str(TESTS / "toy")]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    sys.path[:0] = paths
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def forked() -> "multiprocessing.context.ForkServerContext":
    """Processes that start in a moment, for everything heavy is imported already, and has done nothing yet."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def fork_group(target: Callable[..., None], processes: int, *arguments: object, timeout: float = 120) -> None:
    """Run ``target(*arguments)`` likewise, in processes that start in a moment."""
    told = forked().SimpleQueue()
    port = free_port()
    started = [forked().Process(target=_member, args=(told, target, arguments, processes, rank, port), daemon=False)
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
