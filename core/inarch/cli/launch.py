"""Several processes: accelerate's launcher, with the processes' errors told once."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from accelerate.commands.launch import launch_command, launch_command_parser
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from inarch.errors import OutOfMemory, RunError
from inarch.interruption import SIGNALS, Interrupted


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run this command line in several processes and return the exit code; their first error becomes one RunError."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ["INARCH_PROCESSES"] = str(processes)
    logging.disable(logging.CRITICAL)  # the launcher would log a wall of text for a failed process
    options = ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    # --multi_gpu also starts several processes on a CPU; --cpu would start one
    options += ["--multi_gpu", f"--num_processes={processes}", "-m", "inarch", *arguments]
    with TemporaryDirectory() as errors:
        os.environ["INARCH_ERRORS"] = errors
        try:
            launch_command(launch_command_parser().parse_args(options))
        except ChildFailedError as failed:
            told = sorted(Path(errors).iterdir())  # a reason before its result: that others wait in vain
            if told and told[0].name.endswith(OutOfMemory.__name__):
                click.echo(told[0].read_text(encoding="utf-8").replace(" after --resume", ""), err=True)
                return launch(processes, [*(text for text in arguments if text != "--resume"), "--resume"])
            if told:
                raise RunError(told[0].read_text(encoding="utf-8")) from None
            code = failed.get_first_failure()[1].exitcode
            if code - 128 in SIGNALS:  # one of them was asked to end, and all did
                raise Interrupted(code - 128) from None
            return max(1, code)
        except SignalException as asked:
            raise Interrupted(asked.sigval) from None
        finally:
            os.environ.pop("INARCH_ERRORS", None)
    return 0
