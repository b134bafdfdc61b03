"""The commands that plugins add."""

import sys
from collections.abc import Container
from contextlib import redirect_stdout

import click

from inarch.errors import printable
from inarch.plugins import loaded


def commands(verbs: Container[str]) -> dict[str, click.Command]:
    """Return the plugins' commands by name; what goes wrong is noted at the plugin, and the other commands work.

    A command that bears the name of one of `verbs`, or of another plugin's command, is left out.
    """
    plugins = loaded()
    found: dict[str, click.Command] = {}
    for implementation in plugins.manager.hook.register_commands.get_hookimpls():
        plugin = plugins.known[implementation.plugin_name]
        own = click.Group()
        try:
            with redirect_stdout(sys.stderr):
                implementation.function(own)
        except (Exception, SystemExit) as error:
            plugin.error = printable(f"register_commands failed: {type(error).__name__}: {error}")
            continue
        taken = [name for name in own.commands if name in verbs or name in found]
        if taken:
            plugin.error = f"the command '{taken[0]}' is taken"
        found.update({name: command for name, command in own.commands.items() if name not in taken})
    return found
