"""`inarch list`: generated from signatures and docstrings."""

import click

KINDS = ("backbones", "heads", "datasets", "metrics", "strategies")


@click.command()
@click.argument("kind", type=click.Choice(KINDS), required=False)
def command(kind: str | None) -> None:
    """List what a recipe can name: of one KIND with every option, or of all kinds with a line each."""
    from inarch import plugins

    for name in [kind] if kind else KINDS:
        click.secho(name, bold=True)
        for entry in sorted(plugins.loaded().components[name].values(), key=lambda entry: entry.name):
            click.echo(f"  {entry.name}  ({entry.plugin}) {entry.summary}")
            if kind:
                _options(entry)
    for plugin in plugins.loaded().known.values():
        if plugin.error:
            click.echo(f"The plugin '{plugin.name}' could not be loaded: {plugin.error}", err=True)


def _options(entry: object) -> None:
    import inspect

    from inarch.schema import parameters, spell

    build = entry.build  # type: ignore[attr-defined]
    for name, option in parameters(build).items():
        default = "required" if option.default is inspect.Parameter.empty else f"default {option.default!r}"
        click.echo(f"      {name}: {spell(option.annotation)}, {default}")
    for line in (inspect.getdoc(build) or "").splitlines()[1:]:
        click.echo(f"      {line}".rstrip())
