"""Column files: a word a line with its tags, a blank line after each sentence, as in the shared tasks of CoNLL."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from inarch import Address, DataError, Dataset, RecipeError, Rows, open_text, split_files

_BLANKS = re.compile(r"[ \t]+")  # not `split()`: it would also cut words at no-break spaces
_UNIVERSAL = 10  # columns of CoNLL-U (universaldependencies.org/format.html)
_NO_WORD = re.compile(r"\d+-\d+|\d+\.\d+")  # there in column 0: several words as they are written, or an unwritten one


def conll(
    *,
    path: Annotated[str, Address()] | dict[str, Annotated[str, Address()]],
    words: int = 0,
    tags: int = -1,
    delimiter: str | None = None,
    comments: str | None = "#",
    encoding: str = "utf-8",
) -> Dataset:
    """Read column files: a word a line, a blank line between sentences (CoNLL-2003, CoNLL-U, WNUT-17).

    Lines that begin with -DOCSTART- are no words, nor are CoNLL-U's numbers such as 1-2 and 1.1.

    path: the file, package:DIST/FILE, or one file for each split: {train: ..., valid: ..., test: ...}.
    words: the column with the words, counted from 0; a negative number counts from the end, -1 is the last.
    tags: the column with the tags, likewise.
    delimiter: what stands between columns; default: a tab if the first word's line has one, else any blanks.
    comments: what comments begin with. A comment has not as many columns as the others: words such as #one are kept.
    encoding: how the text is written, for example latin-1.
    """
    for name, value in (("delimiter", delimiter), ("comments", comments)):
        if value == "":
            raise RecipeError(f"dataset.{name}: expected some text, found nothing")
    files = split_files(path)
    splits = {split: _read(file, (words, tags), delimiter, comments, encoding) for split, file in files.items()}
    return Dataset(splits, "words", "tags", origin=str(files["train"]))


@dataclass(frozen=True)
class _Format:
    """How the lines of one file are written."""

    delimiter: str | None
    width: int
    first: int
    """The line, from 1, that shows it."""

    def split(self, line: str) -> list[str]:
        """Return a line's columns."""
        if self.delimiter is None:
            return _BLANKS.split(line.strip(" \t"))
        return [column.strip(" ") for column in line.split(self.delimiter)]

    def is_no_word(self, columns: Sequence[str]) -> bool:
        """Whether a line of CoNLL-U is beside the words of its sentence."""
        return self.delimiter == "\t" and self.width == _UNIVERSAL and _NO_WORD.fullmatch(columns[0]) is not None


def _read(path: Path, chosen: tuple[int, int], delimiter: str | None, comments: str | None, encoding: str) -> Rows:
    import pyarrow as pa  # here, or `inarch --help` would wait for it

    with open_text(path, encoding) as file:
        lines = [line.rstrip("\r\n") for line in file]
    form = _format(path, lines, delimiter, comments)
    sentences = list(_sentences(path, lines, form, _places(path, form.width, chosen), comments))
    columns = {
        name: pa.array([[word[part] for word in sentence] for sentence in sentences])
        for part, name in enumerate(("words", "tags"), start=1)
    }
    return Rows(columns, [f"{path}, line {sentence[0][0]}" for sentence in sentences].__getitem__)


def _format(path: Path, lines: Sequence[str], delimiter: str | None, comments: str | None) -> _Format:
    """Return how a file is written, by its first line that is surely a word's."""
    for number, line in enumerate(lines, start=1):
        if not _separates(line) and not (comments and line.startswith(comments)):
            found = _Format(delimiter or ("\t" if "\t" in line else None), 0, number)
            return _Format(found.delimiter, len(found.split(line)), number)
    raise DataError(f"{path}: there are no words in it")


def _places(path: Path, width: int, chosen: tuple[int, int]) -> list[int]:
    """Return which columns hold words and tags, from 0."""
    for name, column in zip(("words", "tags"), chosen, strict=True):
        if not -width <= column < width:
            raise DataError(f"{path}: {width} columns, numbered from 0; dataset.{name} says {column}")
    words, tags = (column % width for column in chosen)
    if words == tags:
        raise DataError(f"{path}: {width} columns; dataset.words and dataset.tags are both column {words}")
    return [words, tags]


def _sentences(
    path: Path, lines: Sequence[str], form: _Format, chosen: Sequence[int], comments: str | None
) -> Iterator[list[tuple[int, str, str]]]:
    """Yield sentences of (line from 1, word, tag)."""
    sentence: list[tuple[int, str, str]] = []
    for number, line in enumerate(lines, start=1):
        if _separates(line):
            if sentence:
                yield sentence
            sentence = []
            continue
        columns = form.split(line)
        if len(columns) != form.width:
            if comments and line.startswith(comments):
                continue
            raise DataError(f"{path}, line {number}: {len(columns)} columns; line {form.first} has {form.width}")
        word, tag = (columns[column] for column in chosen)
        for name, value in (("word", word), ("tag", tag)):
            if not value:
                raise DataError(f"{path}, line {number}: the {name} is empty: {line!r}")
        if not form.is_no_word(columns):
            sentence.append((number, word, tag))
    if sentence:
        yield sentence


def _separates(line: str) -> bool:
    """Whether a line stands between sentences."""
    return not line.strip(" \t") or line.startswith("-DOCSTART-")
