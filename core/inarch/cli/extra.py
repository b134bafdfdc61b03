"""The commands that plugins add."""

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

import click

from inarch.cli.lazy import Commands
from inarch.errors import PluginError, listing
from inarch.guard import Plugin, named
from inarch.importing import contained
from inarch.plugins import Plugins, loaded

_MEANT = (click.ClickException, click.Abort, SystemExit)
"""What a command may end with."""


@dataclass(frozen=True)
class Extra:
    """A plugin's command that is not imported yet."""

    line: str
    """What the help page says of it."""
    plugin: Plugin
    find: Callable[[], click.Command]
    """Import it, or raise PluginError."""


def commands(verbs: Container[str]) -> dict[str, Extra]:
    """Return the plugins' commands by name; what goes wrong is noted at the plugin, and the other commands work."""
    return commands_of(loaded(), verbs)


def commands_of(
    plugins: Plugins, verbs: Container[str], announce: Callable[[Plugin], None] = lambda plugin: None
) -> dict[str, Extra]:
    """Return the commands of plugins by name, telling whose hook is called next.

    A command that bears the name of one of `verbs` is left out. Of two plugins' with one name neither can be used.
    """
    found: dict[str, Extra] = {}
    for implementation in plugins.manager.hook.register_commands.get_hookimpls():
        plugin = plugins.known[implementation.plugin_name]
        own = Commands()
        announce(plugin)
        try:
            with contained(plugin):
                implementation.function(own)
            lines = own.lines()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            plugin.fail(error, "register_commands failed: ")
            continue
        plugin.registered.pop("commands", None)
        for name, line in lines.items():
            if name in verbs:
                plugin.error = f"the command '{name}' is taken: it is a verb of inarch's own, which no plugin replaces"
                plugin.advice = f"pip install --upgrade {plugin.distribution}, or: inarch plugins disable {plugin.name}"
            elif name in found:
                found[name] = _refused(name, found[name].plugin, plugin)
            else:
                found[name] = Extra(line, plugin, _finder(plugin, own, name))
                plugin.registered.setdefault("commands", []).append(name)
    return found


def refuse_broken(verbs: Container[str]) -> None:
    """Raise PluginError for the first plugin that cannot be used, its commands included."""
    commands(verbs)
    loaded().refuse_broken()


def _finder(plugin: Plugin, group: Commands, name: str) -> Callable[[], click.Command]:
    def find() -> click.Command:
        with named(plugin, f"importing the command '{name}'"), contained(plugin):
            command = group.places[name].find() if name in group.places else group.commands[name]
        return _named_in_errors(command, plugin, name)

    return find


def _named_in_errors(command: click.Command, plugin: Plugin, name: str) -> click.Command:
    """Return a command of which what escapes names the plugin."""
    invoke = command.invoke

    def run(ctx: click.Context) -> Any:
        with named(plugin, f"the command '{name}'", *_MEANT):
            try:
                return invoke(ctx)
            except click.exceptions.Exit as end:  # click would return the code, as if the command had answered it
                raise SystemExit(end.exit_code) from None

    vars(command)["invoke"] = run
    return command


def _refused(name: str, first: Plugin, second: Plugin) -> Extra:
    """Return what stands for a command that two plugins add; both say so."""
    both = (first, second)
    reason = f"the command '{name}' is added by two plugins: {first.label} and {second.label}"
    advice = ", or: ".join(f"inarch plugins disable {plugin.name}" for plugin in both)
    for plugin in both:
        plugin.error, plugin.advice = reason, advice
        if name in plugin.registered.get("commands", []):
            plugin.registered["commands"].remove(name)

    def find() -> click.Command:
        raise PluginError(f"{reason}; type: {advice}")

    return Extra(f"(of two plugins: {listing(plugin.name for plugin in both)})", first, find)
