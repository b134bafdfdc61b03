"""`inarch list`: generated from signatures and docstrings."""

import dataclasses
import inspect
from typing import get_type_hints

import click

from inarch.plugins import KINDS, Entry, loaded
from inarch.schema import parameters, spell, word


@click.command()
@click.argument("kind", type=click.Choice(KINDS), required=False)
def command(kind: str | None) -> None:
    """List what a recipe can name: of one KIND with every option, or of all kinds with a line each."""
    for name in [kind] if kind else KINDS:
        click.secho(name, bold=True)
        for entry in sorted(loaded().components[name].values(), key=lambda entry: entry.name):
            click.echo(f"  {entry.name}  ({entry.plugin}) {entry.summary}")
            if kind:
                _options(entry)
    if absent := loaded().absent():
        click.echo(absent.strip(), err=True)


def _options(entry: Entry) -> None:
    for name, option in parameters(entry.build).items():
        _line(name, option.annotation, option.default, option.default is inspect.Parameter.empty, indent=6)
    for line in (inspect.getdoc(entry.build) or "").splitlines()[1:]:
        click.echo(f"      {line}".rstrip())
    click.echo()


def _line(name: str, annotation: object, default: object, required: bool, indent: int) -> None:
    """Write one option; one that is a mapping with fixed keys is followed by these."""
    nested = dataclasses.is_dataclass(annotation)
    told = "required" if required else "optional" if nested else f"default {word(default)}"
    click.echo(f"{' ' * indent}{name}: {spell(annotation)}, {told}")
    hints = get_type_hints(annotation, include_extras=True) if nested else {}
    for key, hint in hints.items():
        _line(key, hint, getattr(default, key, None), False, indent + 4)
