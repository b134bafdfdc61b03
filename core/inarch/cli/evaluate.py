"""`inarch evaluate`."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", default="test", show_default=True, help="train, valid or test.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: Path, split: str, as_json: bool) -> None:
    """Measure the bundle of RUN on a split of its recipe's data, with 95 % intervals."""
    from inarch.workflows.evaluate import evaluate_run

    estimates = evaluate_run(run, split)
    if as_json:
        click.echo(json.dumps({name: vars(estimate) for name, estimate in estimates.items()}))
        return
    width = max(map(len, estimates))
    for name, estimate in estimates.items():
        click.echo(f"{name:{width}}  {estimate}")
