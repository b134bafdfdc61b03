"""`inarch rank`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from inarch.workflows.rank import Ranking


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--backbones",
    required=True,
    metavar="A,B,...",
    help="Names that plugins know, @small, recipe (its own), {name: timm, model: ...}, or models of its builder.",
)
@click.option("--out", help="Where ranking.json and the picture go. Default: runs/NAME_ranking.")
def command(recipe: Path, overrides: tuple[str, ...], backbones: str, out: str | None) -> None:
    """Say which of several backbones to fine-tune on RECIPE's data, without fine-tuning any."""
    if out == "":  # it would be the current folder
        raise click.BadParameter("expected a folder, found empty text", param_hint="--out")
    from inarch import recipe as recipes
    from inarch.workflows.candidates import find, split
    from inarch.workflows.check import check

    parsed = recipes.load(recipe, overrides)
    candidates = find(parsed, split(backbones))  # mistakes are told before torch is imported
    checked = check(parsed)
    from inarch.cli.live import Live
    from inarch.workflows.rank import rank_checked

    with Live() as progress:
        found = rank_checked(checked, candidates, Path(out) if out else None, progress)
    _tell(found)


def _tell(found: "Ranking") -> None:
    """Print the ranking as a table, and what it means."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("", "backbone", "expected", "95 %", "best", "regret", "ms"):
        table.add_column(heading, justify="left" if heading == "backbone" else "right")
    for number, place in enumerate(found.places, 1):
        table.add_row(
            str(number), place.name, f"{place.expected:+.1f}", f"{place.low:+.1f} {place.high:+.1f}",
            f"{place.best:.0%}", f"{place.regret:.1f}", f"{place.scored.milliseconds:.1f}",
        )  # fmt: skip
    console.print(table)
    names = list(dict.fromkeys(name for place in found.places for name in place.scored.scores))
    scores = Table(box=None, pad_edge=False)
    for heading in ("scores", *(name.replace("_", "-") for name in names)):
        scores.add_column(heading, justify="left" if heading == "scores" else "right")
    for place in found.places:
        values = [place.scored.scores.get(name) for name in names]
        scores.add_row(place.name, *("-" if value is None else f"{value:.3g}" for value in values))
    console.print(scores)
    for name, why in found.failed.items():
        console.print(f"not ranked: {name}: {why}", soft_wrap=True, markup=False)
    for line in (*found.notes, *found.verdict, f"{found.seconds:.0f} s. Written: {found.directory / 'ranking.json'}"):
        console.print(line, soft_wrap=True, markup=False)
