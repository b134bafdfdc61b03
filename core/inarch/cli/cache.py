"""`inarch cache`."""

import time
from collections.abc import Mapping
from typing import Any

import click


@click.command()
@click.option("--limit", metavar="SIZE", help="Keep them below SIZE from now on, 2GB for example.")
@click.option("--clear", is_flag=True, help="Remove all of them.")
@click.option("--verify", is_flag=True, help="Read all of them, and leave out what is damaged.")
def command(limit: str | None, clear: bool, verify: bool) -> None:
    """Show where the features of frozen backbones are stored, and how much they take.

    Those least recently used go first when the limit is reached: $INARCH_CACHE_LIMIT, or what --limit set, or 10 GB.
    """
    from inarch.errors import RunError
    from inarch.features.store import Store, parse_size, show_size

    store = Store()
    place = next(path for path in [store.root, *store.root.parents] if path.exists())
    if not place.is_dir():
        raise RunError(f"{store.root}: features cannot be kept here: {place} is a file")
    try:
        if limit is not None:
            store.limit_to(parse_size(limit, "--limit"))
        for table in store.tables() if clear else ():
            store.remove(table.path)
        for note in [note for table in store.tables() if verify for note in store.verify(table)]:
            click.secho(note, fg="red")
        limited = show_size(store.limit)
    except OSError as error:
        raise RunError(f"{store.root}: the cache could not be changed: {error.strerror}") from error
    tables = store.tables()
    click.secho(f"{store.root}: {show_size(sum(table.size for table in tables))} of {limited}", bold=True)
    for table in reversed(tables):
        told = f"{table.rows:>9,} rows  {show_size(table.size):>9}  {_ago(time.time() - table.used):>12}"
        click.echo(f"  {told}  {_name(table.description)}")


def _name(description: Mapping[str, Any]) -> str:
    """Return what a table's features are of, in short."""
    model = description["options"].get("model") or description["backbone"].rpartition(".")[2]
    field, view = description["field"], description["view"]
    told = [f"{model} of weights {description['weights'][:8]}", *([field] if field != "pooled" else [])]
    return ", ".join([*told, *([f"view {view}"] if view else [])])


def _ago(seconds: float) -> str:
    """Return how long ago something was, in words."""
    for unit, size in {"day": 86400, "hour": 3600, "minute": 60}.items():
        if seconds >= size:
            count = int(seconds / size)
            return f"{count} {unit}{'s' * (count > 1)} ago"
    return "just now"
