"""`inarch show`."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(run: Path, as_json: bool) -> None:
    """Show what RUN did: its recipe, its epochs, its results."""
    from inarch.workflows.show import show

    seen = show(run)
    if as_json:
        click.echo(json.dumps(seen, indent=1))
        return
    click.echo(f"{seen['name']}: {seen['backbone']}, {seen['head']}, {seen['strategy']}; {seen['status']}")
    for line in seen["epochs"]:
        told = [
            f"{split} {name} {value:.4f}" for split in ("train", "valid") for name, value in line.get(split, {}).items()
        ]
        click.echo(f"  epoch {line['epoch']:g}: {', '.join(told)}")
    for sentence in seen["told"]:
        click.echo(f"  {sentence}")
    for name, estimate in seen["metrics"].items():
        interval = "" if estimate["low"] is None else f" [{estimate['low']:.4f}, {estimate['high']:.4f}]"
        click.echo(f"  {seen['split']} {name}: {estimate['value']:.4f}{interval}")
    for hint in seen["hints"]:
        click.echo(hint)
