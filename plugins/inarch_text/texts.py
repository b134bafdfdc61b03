"""Raw inputs to text. Light: needs neither torch nor a tokenizer.

A raw input is a text, the path of a UTF-8 file, a list of words (joined by single spaces), or a mapping of columns to
these. What is no text is a ValueError that says why.
"""

from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

from inarch import RecipeError


class Text(NamedTuple):
    """A text, and the words it was given in."""

    text: str
    words: tuple[str, ...] | None = None


def read(raw: Any) -> Text:
    """Return the text of one column; whether it says anything is for the caller to ask."""
    if isinstance(raw, list | tuple):
        return _join(raw)
    if isinstance(raw, Path):
        return Text(_encodable(_read_file(raw)))
    if raw is None:
        raise ValueError("the text is missing")
    if not isinstance(raw, str):
        raise ValueError(f"expected text, a list of words or a text file, found {type(raw).__name__}: {raw!r:.60}")
    return Text(_encodable(raw))


def read_column(name: str, raw: Any) -> Text:
    """Return the text of one of several columns, where numbers are text as well."""
    number = isinstance(raw, int | float) and not isinstance(raw, bool)
    try:
        return Text(str(raw)) if number else read(raw)
    except ValueError as error:
        raise ValueError(f"the column '{name}': {error}") from None


def verify(raw: Any) -> None:
    """Raise ValueError if a raw input is no text, or says nothing."""
    columns = raw.items() if isinstance(raw, Mapping) else None
    texts = [read(raw)] if columns is None else [read_column(name, value) for name, value in columns]
    if all(is_blank(text.text) for text in texts):
        raise ValueError(BLANK)


BLANK = "the text is empty or blank"


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in a text: blanks, line ends, zero-width and control characters alone."""
    return not any(letter.isprintable() and not letter.isspace() for letter in text)


class Template:
    """Text with the names of columns in braces: ``{title}: {body}``; doubled braces are braces."""

    def __init__(self, template: str) -> None:
        try:
            fields = list(Formatter().parse(template))
        except ValueError as error:
            raise RecipeError(f"backbone.template: {error} in '{template}'; write {{{{ for a brace") from None
        if not any(name for _, name, _, _ in fields) or any(spec or way for _, _, spec, way in fields):
            raise RecipeError(
                f"backbone.template: expected columns in braces, '{{title}}: {{body}}', found '{template}'"
            )
        self.fields = [(literal, name) for literal, name, _, _ in fields]

    def fill(self, columns: Mapping[str, Any]) -> Text:
        """Return the text with the columns' values in it."""
        missing = [name for _, name in self.fields if name is not None and name not in columns]
        if missing:
            raise ValueError(f"the template names the column '{missing[0]}'; the input has {', '.join(columns)}")
        values = {name: read_column(name, columns[name]).text for _, name in self.fields if name is not None}
        if all(map(is_blank, values.values())):
            raise ValueError(BLANK)
        return Text("".join(literal + (values[name] if name is not None else "") for literal, name in self.fields))


def _join(words: list[Any] | tuple[Any, ...]) -> Text:
    for number, word in enumerate(words):
        if not isinstance(word, str):
            raise ValueError(
                f"expected a list of words, found {type(word).__name__} as word {number + 1}: {word!r:.60}"
            )
    return Text(_encodable(" ".join(words)), tuple(words))


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        byte = 0xDC80 <= code <= 0xDCFF  # how Python writes a byte that is not UTF-8, as of standard input
        found = f"the byte 0x{code - 0xDC00:02x}, not UTF-8" if byte else "half of a surrogate pair, which is no text"
        raise ValueError(f"character {error.start} is {found}; mend the source") from None
    return text


def _read_file(path: Path) -> str:
    try:
        return path.read_bytes().decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}; convert the file"
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
