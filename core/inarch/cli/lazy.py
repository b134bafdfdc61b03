"""A group whose commands are imported when they are used, so that a help page is fast."""

from typing import Any, NamedTuple

import click

from inarch.errors import PluginError, unknown
from inarch.importing import import_object


class Place(NamedTuple):
    """Where a command is, and what the help page says of it until then."""

    address: str
    """`module:attribute`"""
    line: str

    def find(self) -> click.Command:
        """Import the command."""
        command = import_object(self.address)
        if not isinstance(command, click.Command):
            raise PluginError(f"'{self.address}' is {command!r}; expected a function under @click.command()")
        return command


class Commands(click.Group):
    """Commands by their places; those added in the ordinary way stand after them."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.places: dict[str, Place] = {}

    def add_lazy(self, name: str, address: str, line: str) -> None:
        """Add a command that is imported when it is used: its `module:attribute`, and its line on the help page."""
        module, _, attribute = address.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), attribute)):
            raise PluginError(f"add_lazy({name!r}): expected 'module:attribute', found {address!r}")
        self.places[name] = Place(address, line)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help page."""
        return list(self.lines())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command by its name, or stop with the nearest match."""
        if name in self.places:
            return self.places[name].find()
        if name not in self.commands:
            raise click.UsageError(unknown("command", name, self.list_commands(ctx)))
        return self.commands[name]

    def lines(self) -> dict[str, str]:
        """Return the names of all commands and what the help page says of each, importing none."""
        added = {name: command.get_short_help_str() for name, command in sorted(self.commands.items())}
        return {**{name: place.line for name, place in self.places.items()}, **added}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with a line each."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines().items()))
