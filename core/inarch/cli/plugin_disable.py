"""`inarch plugins disable`. Imports no plugin."""

import click

from inarch import switches
from inarch.discovery import CORE, installed
from inarch.errors import PluginError, unknown


@click.command()
@click.argument("name")
@click.option("--environment", is_flag=True, help="For whoever uses this (virtual) environment, not for you alone.")
def command(name: str, environment: bool) -> None:
    """Leave the plugin NAME out from now on, wherever you run inarch. Imports no plugin."""
    names = sorted({plugin.name for plugin in installed()})
    if name == CORE:
        raise PluginError("the core's own components cannot be disabled")
    if name not in names:
        raise PluginError(unknown("plugin", name, names))
    path = switches.disable(name, "environment" if environment else "user")
    click.echo(f"The plugin '{name}' is disabled by {path}. Back: inarch plugins enable {name}")
