"""The order of a network's parameters, from input to output."""

from collections.abc import Iterable, Sequence


def by_depth(names: Iterable[str], before: Sequence[tuple[str, ...]], blocks: str) -> list[list[str]]:
    """Group names by prefix: those of each of `before`, each block (`blocks` and a number), and what is left.

    By prefix, for strategies may add parameters inside blocks.
    """
    first: list[list[str]] = [[] for _ in before]
    last: list[str] = []
    inside = dict[int, list[str]]()
    for name in names:
        if name.startswith(blocks):
            inside.setdefault(int(name.removeprefix(blocks).split(".")[0]), []).append(name)
        else:
            places = (group for group, prefixes in zip(first, before, strict=True) if name.startswith(prefixes))
            next(places, last).append(name)
    return [layer for layer in (*first, *(inside[number] for number in sorted(inside)), last) if layer]
