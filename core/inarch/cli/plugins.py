"""`inarch plugins`."""

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verbose", is_flag=True, help="Print the whole traceback of a broken plugin.")
def command(as_json: bool, verbose: bool) -> None:
    """List the plugins: where each comes from, what it registers, and why a broken one cannot be used."""
    from inarch.cli.extra import commands
    from inarch.cli.main import VERBS
    from inarch.plugins import loaded

    commands(VERBS)  # notes what is wrong with a plugin's commands
    known = list(loaded().known.values())
    if as_json:
        click.echo(json.dumps([asdict(plugin) for plugin in known], indent=1))
        return
    for plugin in known:
        click.secho(f"{plugin.name}  ({plugin.distribution} {plugin.version})", bold=True)
        if plugin.error:
            click.secho(f"  broken: {plugin.error}", fg="red")
            click.echo(plugin.details if verbose else "  (--verbose shows where)")
        for kind, names in plugin.registered.items():
            click.echo(f"  {kind}: {', '.join(names)}")
        if not plugin.error and not plugin.registered:
            click.echo("  registers nothing")
