"""What the targets of the head `ctc` mean: texts, read as they are written. Light: imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from inarch.builtin.pieces import Pieces, learn_merges
from inarch.builtin.stretches import read_rows, read_train
from inarch.builtin.targets import place
from inarch.errors import DataError, listing, unknown
from inarch.interfaces.dataset import Dataset, Targets

MOST_TOLD = 10  # characters outside the vocabulary that are told one by one


def read_transcripts(dataset: Dataset, options: Mapping[str, Any]) -> Targets:
    """Read one text per example, and make the vocabulary of the characters of train, or of sub-words from its texts.

    Texts are taken as they are: case, punctuation and spaces are the data's. Where the data set has classes, a text is
    the name of its class, {seven: ["7"]}. Characters that train does not have are counted in `notes`; the loss leaves
    them out, and metrics, which compare whole texts, count them as errors.
    """
    read_train(dataset)  # refuses streams
    values = {raw: name for name, raws in (dataset.classes or {}).items() for raw in raws}
    texts = {
        split: read_rows(dataset, split, None, lambda target, _: _text(target, values)) for split in dataset.splits
    }
    train, size = texts["train"], options["vocabulary"]
    found = set().union(*train)
    if not found:
        raise DataError(f"{dataset.origin}: every transcript of train in '{dataset.target}' is empty; nothing to learn")
    characters = "".join(sorted(found if size == "characters" else found | {" "}))
    merges = None if size == "characters" else learn_merges(train, characters, size)
    pieces = Pieces(characters, merges)
    notes = [note for split, rows in texts.items() if (note := _tell_unknown(dataset, split, rows, pieces))]
    if size != "characters" and len(characters) <= len(pieces) < size:
        notes.append(f"the vocabulary has {len(pieces)} pieces, not {size}: no other pair of pieces is twice in train")
    details = {"characters": characters, "merges": merges, "values": values}
    return Targets("transcript", (), {split: [len(rows)] for split, rows in texts.items()}, details, tuple(notes))


def verify_ctc(targets: Targets, options: Mapping[str, Any]) -> None:
    """Raise ValueError, starting with the option's name, if a vocabulary of this size cannot hold the characters."""
    size, characters = options["vocabulary"], targets.details["characters"]
    if size != "characters" and size < len(characters):
        raise ValueError(
            f"vocabulary {size} cannot hold the {len(characters)} different characters of train and the space; "
            f"write more than {len(characters)}, or vocabulary: characters"
        )


def _text(target: Any, values: Mapping[str, str]) -> str:
    if target is None:
        raise ValueError("the transcript is missing; write an empty text where nothing is said")
    if not isinstance(target, str):
        raise ValueError(f"expected a text as transcript, found {target!r}")
    if values and target not in values:
        raise ValueError(unknown("class", target, values))
    return values.get(target, target)


def _tell_unknown(dataset: Dataset, split: str, rows: Sequence[str], pieces: Pieces) -> str | None:
    """Return a sentence about the characters of a split that cannot be written; None: there are none."""
    unknown = {row: text for row, text in enumerate(rows) if any(character not in pieces for character in text)}
    if not unknown:
        return None
    lost = [character for text in unknown.values() for character in text if character not in pieces]
    distinct = [repr(character) for character in sorted(set(lost))]
    count = "1 character" if len(lost) == 1 else f"{len(lost):,} characters"
    return (
        f"{split}: {count} in {len(unknown):,} of {len(rows):,} transcripts cannot be predicted, for no transcript of "
        f"train has them: {listing(distinct, MOST_TOLD)}; the first: {place(dataset, split, next(iter(unknown)))}"
    )
