"""`inarch train`."""

import os
import subprocess
import sys
from pathlib import Path

import click

from inarch.errors import RecipeError


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", type=click.Path(path_type=Path), help="The run directory. Default: runs/NAME.")
@click.option("--resume", is_flag=True, help="Continue the run in that directory.")
@click.option("--processes", type=int, help="Start this many processes, on as many GPUs, or on the CPU.")
def command(recipe: Path, overrides: tuple[str, ...], out: Path | None, resume: bool, processes: int | None) -> None:
    """Train RECIPE, with KEY=VALUE overrides such as train.epochs=3."""
    from inarch import recipe as recipes
    from inarch.workflows.check import check

    parsed = recipes.load(recipe, overrides)
    if "RANK" not in os.environ:
        check(parsed)  # mistakes are told before torch is imported
    if processes is not None and "RANK" not in os.environ:
        sys.exit(_launch(processes))
    from inarch.cli.live import Live, results
    from inarch.workflows.train import train

    with Live() as progress:
        result = train(parsed, out=out, resume=resume, progress=progress)
    if os.environ.get("RANK", "0") == "0":
        results(result)


def _launch(processes: int) -> int:
    """Start accelerate's launcher on this same command line."""
    if processes < 1:
        raise RecipeError(f"--processes must be at least 1, found {processes}")
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    several = ["--multi_gpu"] if processes > 1 else []  # also starts several processes on a CPU; --cpu would start one
    arguments = [*several, f"--num_processes={processes}", "--main_process_port=0", "-m", "inarch", *_without_processes(sys.argv[1:])]
    environment = {**os.environ, "INARCH_PROCESSES": str(processes)}
    threads = max(1, (os.cpu_count() or 1) // processes)
    environment.setdefault("OMP_NUM_THREADS", str(threads))
    return subprocess.run([*launcher, *arguments], env=environment, check=False).returncode


def _without_processes(arguments: list[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if not skip and not argument.startswith("--processes"):
            kept.append(argument)
        skip = argument == "--processes" and not skip
    return kept
