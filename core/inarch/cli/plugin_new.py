"""`inarch plugins new`."""

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option("--domain", required=True, help="What its inputs are, a word: timeseries, proteins, ...")
@click.option("--out", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".",
              help="Where the folder NAME is made. Default: here.")  # fmt: skip
@click.option("--license", type=click.Choice(["Apache-2.0", "MIT", "BSD-3-Clause", "proprietary"]),
              default="Apache-2.0", show_default=True, help="Who may use it.")  # fmt: skip
@click.option("--author", default="", help="Who holds the copyright. Default: the authors of NAME.")
def command(name: str, domain: str, out: Path, license: str, author: str) -> None:
    """Write a package called NAME, for example inarch-seismic: a plugin that passes its tests and trains a recipe."""
    from inarch.workflows.scaffold import scaffold

    written = scaffold(name, domain, out, license, author)
    click.echo(f"Wrote {written}. Now: pip install -e '{written}[test]'; inarch train {written}/recipes/waves.yaml")
