"""`inarch plugins`: the list, and the group of the verbs about plugins."""

import json
import shutil
import sys
import textwrap
from dataclasses import asdict

import click

from inarch.cli.lazy import Commands
from inarch.guard import Plugin

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
    """List the plugins: where each comes from, what it registers, the hooks that it answers, how long its import takes,
    and why a broken one cannot be used.

    A process of its own imports them, so that the list is whole whatever a plugin does.
    """
    if ctx.invoked_subcommand is not None:
        return
    from inarch.cli.survey import survey

    known = survey()
    if as_json:
        click.echo(json.dumps([asdict(plugin) for plugin in known], indent=1))
        return
    for plugin in known:
        _tell(plugin, verbose)


for name, line in COMMANDS.items():
    command.add_lazy(name, f"inarch.cli.plugin_{name}:command", line)


def head(plugin: Plugin) -> str:
    """Return the line that a plugin's paragraph begins with."""
    return click.style(plugin.name, bold=True) + f"  ({plugin.origin})"


def paragraph(text: str, indent: str = "  ") -> str:
    """Return a line of text as the terminal shows it best: wrapped, with what goes on further to the right.

    Not for what is to be typed, which is copied.
    """
    if not sys.stdout.isatty():
        return indent + text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent * 2, break_long_words=False, break_on_hyphens=False
    )


def _tell(plugin: Plugin, verbose: bool) -> None:
    took = "" if plugin.milliseconds is None else click.style(f"  {plugin.milliseconds:.0f} ms", dim=True)
    click.echo(head(plugin) + took)
    if plugin.error:
        click.secho(paragraph(f"broken: {plugin.error}"), fg="red")
        click.echo(f"  type: {plugin.advice}")
    if plugin.details:
        click.echo(plugin.details if verbose else "  (--verbose shows where)")
    if plugin.disabled:
        from inarch.discovery import way_back

        click.secho(paragraph(f"disabled by {plugin.disabled}"), fg="yellow")
        click.echo(f"  type: {way_back(plugin)}")
    for kind, names in plugin.registered.items():
        if names:
            click.echo(paragraph(f"{kind}: {', '.join(names)}"))
    if plugin.hooks:
        click.echo(paragraph(f"hooks: {', '.join(plugin.hooks)}"))
    elif not plugin.error and not plugin.disabled:
        click.echo("  answers no hook")
