"""`inarch init`."""

from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--domain", required=True, help="The plugin that reads such inputs: vision, text, audio, ...")
@click.option("--input", "input_column", help="For a table: the input column. Default: guessed, and said.")
@click.option("--target", "target_column", help="For a table: the target column. Default: guessed, and said.")
@click.option("--encoding", default="utf-8", help="For a table: how its text is written, such as latin-1.")
@click.option("--out", type=click.Path(path_type=Path), help="The recipe to write. Default: NAME.yaml here.")
def command(
    path: Path, domain: str, input_column: str | None, target_column: str | None, encoding: str, out: Path | None
) -> None:
    """Look at PATH, a folder or a table, and write a commented recipe that trains as it is."""
    from inarch.workflows.init import init

    written = init(path, domain, input_column, target_column, out, encoding)
    click.echo(f"Wrote {written}. Now: inarch check {written}; inarch train {written}")
