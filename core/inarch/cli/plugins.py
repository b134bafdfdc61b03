"""`inarch plugins`."""

import json
from dataclasses import asdict

import click

from inarch.cli.lazy import Commands

COMMANDS = {
    "doctor": "Say what is wrong with plugins, and what to type.",
    "disable": "Leave a plugin out from now on.",
    "enable": "Use a disabled plugin again.",
    "new": "Write a package with a plugin that passes its own tests.",
    "hooks": "Explain the hooks that a plugin can answer.",
}
"""The verbs that are imported when used, from `inarch.cli.plugin_<verb>`, and a line on each."""


@click.group(cls=Commands, invoke_without_command=True, subcommand_metavar="[COMMAND [ARGS]...]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verbose", is_flag=True, help="Print the whole traceback of a broken plugin.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, verbose: bool) -> None:
    """List the plugins: where each comes from, what it registers, and why a broken one cannot be used."""
    if ctx.invoked_subcommand is None:
        _list(as_json, verbose)


for name, line in COMMANDS.items():
    command.add_lazy(name, f"inarch.cli.plugin_{name}:command", line)


def _list(as_json: bool, verbose: bool) -> None:
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
