"""`inarch compare`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from inarch.studies.verdict import Unit
    from inarch.workflows.compare import Comparison


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--strategies", required=True, help="scratch,linear_probe,full; with options: {name: lora, rank: 16}.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="How many.")
@click.option("--fractions", default="1", help="Shares of the labels: 0.05,0.1,0.25,1.")
@click.option("--metric", help="Which of the recipe's. Default: its best_metric, or the first.")
@click.option("--target", type=float, help="A value of the metric: how many labels does it take?")
@click.option("--out", help="The comparison's directory. Default: runs/NAME-comparison. It goes on there.")
def command(
    recipe: Path,
    overrides: tuple[str, ...],
    strategies: str,
    seeds: int,
    fractions: str,
    metric: str | None,
    target: float | None,
    out: str | None,
) -> None:
    """Compare strategies on RECIPE, with KEY=VALUE overrides: same data, same seeds, and how sure the difference is."""
    if out == "":  # it would be the current folder
        raise click.BadParameter("expected a folder, found empty text", param_hint="--out")
    from inarch.workflows.compare import prepare

    plan = prepare(recipe, strategies, seeds, _numbers(fractions), metric, target, overrides, out)
    from inarch.cli.live import Live  # the plan holds: what follows brings torch
    from inarch.workflows.compare import run

    with Live() as progress:
        compared = run(plan, progress)
    if compared.summary["results"]:
        tell(compared)
    if compared.failed:
        for line in compared.failed:
            click.echo(f"Failed: {line}", err=True)
        sys.exit(1)


def _numbers(written: str) -> list[float]:
    try:
        return [float(part) for part in written.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"expected numbers as in 0.1,0.3,1, found {written!r}", param_hint="--fractions"
        ) from None


def tell(compared: "Comparison") -> None:
    """Print the tables, the verdicts, and where everything is."""
    from rich.console import Console

    console = Console(highlight=False)
    summary = compared.summary
    for result in summary["results"]:
        console.print(_table(summary, result))
    if len(summary["results"]) > 1:
        for result in summary["results"][:-1]:
            console.print(f"{result['labels']:,} labels: {result['verdict'][0]}", soft_wrap=True, markup=False)
        console.print(f"All {summary['results'][-1]['labels']:,} labels:", markup=False)
    lines = [*compared.verdict, *(curve["told"] for curve in summary["curves"].values() if curve["told"])]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
    for note in summary["notes"]:
        console.print(f"Note: {note}.", soft_wrap=True, markup=False)
    from inarch.studies.plots import MISSING

    pictures = ", ".join(str(path) for path in compared.pictures) or MISSING
    where = f"Figures: {compared.directory / 'comparison.json'}. Pictures: {pictures}"
    console.print(where, soft_wrap=True, markup=False)


def _table(summary: Mapping[str, Any], result: Mapping[str, Any]) -> "Table":
    from rich.table import Table

    from inarch.studies.verdict import Unit, short

    unit = Unit(summary["points"])
    of = f"{summary['split']} {summary['metric']}, {result['labels']:,} labels"
    table = Table(title=of, title_justify="left", box=None, pad_edge=False)
    for name in ("strategy", "mean", "95 % interval", "behind", "95 % interval", "trained", "seconds", "cost"):
        table.add_column(name, justify="left" if name == "strategy" else "right", no_wrap=name != "strategy")
    behind = {pair["second"]: pair for pair in result["pairs"] if pair["first"] == result["strategies"][0]["label"]}
    for one in result["strategies"]:
        pair = behind.get(one["label"])
        table.add_row(
            one["label"],
            unit.number(one["mean"]),
            _interval(one, unit),
            unit.number(pair["difference"]) if pair else "",
            _interval(pair, unit) if pair else "",
            short(one["trained"]),
            f"{one['seconds']:.0f}" if one["seconds"] is not None else "",
            f"{one['cost']:.1f}x" if one["cost"] else "",
        )
    return table


def _interval(found: Mapping[str, Any], unit: "Unit") -> str:
    return "" if found["low"] is None else f"{unit.number(found['low'])} to {unit.number(found['high'])}"
