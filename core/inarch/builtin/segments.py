"""Segments of a row of units (words, frames), and the tags that write them, one per unit.

A tag is `O` (outside), or a letter and a label: `B-` begins a segment, `I-` goes on, `E-` ends, `S-` is one alone.
`bio` uses B and I (IOB2, as in CoNLL-2002), `bioes` all four; data in IOB1 (B only between neighbours) is read alike.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

OUTSIDE = "O"
LETTERS = {"bio": "BI", "bioes": "BIES"}
_TAG = re.compile(r"O|[BIES]-.+", re.DOTALL)


class Segment(NamedTuple):
    """Units `first` to `last`, both belonging to it, and their label."""

    first: int
    last: int
    label: str


def is_tag(text: str) -> bool:
    """Say whether a text is `O`, or a letter and a label."""
    return _TAG.fullmatch(text) is not None


def label_of(tag: str) -> str:
    """Return the label of a tag; of `O` an empty text."""
    return tag[2:]


def find_segments(tags: Sequence[str]) -> list[Segment]:
    """Return the segments that tags write, by the lenient rules of conlleval and seqeval.

    An I or E goes on with a segment if a B or I of its label stands before it; elsewhere it begins one. No tag is lost.
    """
    found: list[Segment] = []
    for unit, tag in enumerate(tags):
        if tag == OUTSIDE:
            continue
        if unit and _goes_on(tags[unit - 1], tag):
            found[-1] = found[-1]._replace(last=unit)
        else:
            found.append(Segment(unit, unit, label_of(tag)))
    return found


def find_breaks(tags: Sequence[str]) -> Iterator[int]:
    """Yield the units whose I or E goes on with nothing: `I-x` after `O`, or after another label."""
    for unit, tag in enumerate(tags):
        if tag[0] in "IE" and not (unit and _goes_on(tags[unit - 1], tag)):
            yield unit


def is_iob1(rows: Iterable[Sequence[str]]) -> bool:
    """Say whether rows of tags are in IOB1: I begins a segment, and B only one that touches another of its label."""
    return not any(
        tag[0] in "BES" and not (tag[0] == "B" and unit and label_of(tags[unit - 1]) == label_of(tag))
        for tags in rows
        for unit, tag in enumerate(tags)
    )


def write_tags(segments: Iterable[Segment], length: int, scheme: str) -> list[str]:
    """Return the `length` tags that write segments in a scheme."""
    tags = [OUTSIDE] * length
    for first, last, label in segments:
        tags[first : last + 1] = [f"I-{label}"] * (last + 1 - first)
        if scheme == "bioes":
            tags[last] = f"E-{label}"
        tags[first] = f"S-{label}" if scheme == "bioes" and first == last else f"B-{label}"
    return tags


def tags_of(labels: Sequence[str], scheme: str) -> list[str]:
    """Return every tag of a scheme, in the order of a model's classes: `O`, then for each label its letters."""
    return [OUTSIDE, *(f"{letter}-{label}" for label in labels for letter in LETTERS[scheme])]


def _goes_on(before: str, tag: str) -> bool:
    return tag[0] in "IE" and before[0] in "BI" and label_of(before) == label_of(tag)
