"""`inarch check`."""

from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Also build the model, and tell how so many processes would share a training.",
)
def command(recipe: Path, overrides: tuple[str, ...], processes: int | None) -> None:
    """Verify RECIPE and its data: everything that can be known without training."""
    from inarch import recipe as recipes
    from inarch.workflows.check import check, summary

    checked = check(recipes.load(recipe, overrides))
    for line in summary(checked):
        click.echo(line)
    if processes is None:
        click.echo("Recipe and data hold; the model and its weights are looked at when training starts.")
        return
    from inarch.workflows.sharing import sharing

    for line in sharing(checked, processes):
        click.echo(line)
    click.echo("Recipe, data and model hold.")
