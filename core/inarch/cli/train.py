"""`inarch train`."""

import os
import sys
from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", help="The run directory. Default: runs/NAME.")
@click.option("--resume", is_flag=True, help="Continue the run in that directory.")
@click.option(
    "--processes", type=click.IntRange(min=1), help="Start so many processes, on as many GPUs, or on the CPU."
)
def command(recipe: Path, overrides: tuple[str, ...], out: str | None, resume: bool, processes: int | None) -> None:
    """Train RECIPE, with KEY=VALUE overrides such as train.epochs=3."""
    if out == "":  # it would be the current folder
        raise click.BadParameter("expected a folder, found empty text", param_hint="--out")
    from inarch import recipe as recipes
    from inarch.workflows import directory
    from inarch.workflows.check import check

    checked = check(recipes.load(recipe, overrides))  # mistakes are told before torch is imported
    place = Path(out) if out else None
    if place and "RANK" not in os.environ:  # the first of several processes makes the directory
        directory.refuse_taken(place, checked.resolved(), resume, backbone=False)
    if processes is not None and processes > 1 and "RANK" not in os.environ:
        from inarch.cli.launch import launch

        sys.exit(launch(processes, _without_processes(sys.argv[1:])))
    from inarch.cli.live import Live, results
    from inarch.workflows.train import train_checked

    with Live() as progress:
        result = train_checked(checked, place, resume, progress)
    if os.environ.get("RANK", "0") == "0":
        results(result)


def _without_processes(arguments: list[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if not skip and not argument.startswith("--processes"):
            kept.append(argument)
        skip = argument == "--processes" and not skip
    return kept
