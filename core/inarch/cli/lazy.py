"""A group whose commands are imported when they are used, so that a help page is fast."""

from importlib import import_module
from typing import NamedTuple

import click

from inarch.errors import unknown


class Place(NamedTuple):
    """Where a command is, and what the help page says of it until then."""

    address: str
    """`module:attribute`"""
    line: str

    def find(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.address.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


class LazyGroup(click.Group):
    """Commands by their places; those added in the ordinary way stand after them."""

    def add_lazy(self, name: str, address: str, line: str) -> None:
        """Add a command that is imported when it is used: its `module:attribute`, and its line on the help page."""
        self.places[name] = Place(address, line)

    @property
    def places(self) -> dict[str, Place]:
        """Where the commands are that are imported when used, by name."""
        found: dict[str, Place] = self.__dict__.setdefault("_places", {})
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help page."""
        return [*self.places, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command by its name, or stop with the nearest match."""
        if name in self.places:
            return self.places[name].find()
        if name not in self.commands:
            raise click.UsageError(unknown("command", name, self.list_commands(ctx)))
        return self.commands[name]

    def lines(self) -> dict[str, str]:
        """Return what the help page says of each command, without importing those that are not needed."""
        added = {name: command.get_short_help_str() for name, command in sorted(self.commands.items())}
        return {**{name: place.line for name, place in self.places.items()}, **added}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with a line each."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines().items()))
