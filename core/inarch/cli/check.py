"""`inarch check`."""

from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def command(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Verify RECIPE and its data: everything that can be known without training."""
    from inarch import recipe as recipes
    from inarch.workflows.check import check, summary

    for line in summary(check(recipes.load(recipe, overrides))):
        click.echo(line)
    click.echo("Recipe and data hold; the model and its weights are looked at when training starts.")
