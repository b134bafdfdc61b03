"""`inarch plugins enable`. Imports no plugin."""

import click

from inarch import switches
from inarch.discovery import installed, way_back
from inarch.errors import PluginError, unknown


@click.command()
@click.argument("name")
def command(name: str) -> None:
    """Use the plugin NAME again, whoever disabled it: you, or everybody in this environment. Imports no plugin."""
    found = switches.enable(name)
    known = {plugin.name: plugin for plugin in installed()}
    if not found and name not in known:
        raise PluginError(unknown("plugin", name, sorted({*known, *switches.disabled()})))
    told = f"is enabled; it was disabled by {' and '.join(map(str, found))}" if found else "was not disabled"
    click.echo(f"The plugin '{name}' {told}.")
    plugin = known.get(name)
    if plugin and plugin.disabled:
        click.echo(f"It is left out still, by {plugin.disabled}. To use it: {way_back(plugin)}")
