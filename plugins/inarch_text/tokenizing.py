"""Texts to tokens, in batches through the fast tokenizer, each distinct text once.

Shapes: T tokens, U units (words or pieces of the text, of a pair of the last text).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from inarch import RecipeError
from inarch_text.texts import BLANK, Template, Text, is_blank, read, read_column
from inarch_text.tokenized import Arrays, Tokenized
from inarch_text.words import Numbers, answering, find_words, merge, places_of_words, trim

_CHUNK = 1024
"""Texts that the tokenizer is given at once: enough for its threads, few enough to hold what it says of them."""
Texts = tuple[Text, ...]


class Tokenizing:
    """Raw inputs to examples: `input_ids` (T,), `units` (U,), `places` (U, 2), and of pairs `token_type_ids` (T,).

    Args:
        tokenizer: Without truncation and padding: cutting here keeps the places of the words that are cut off.
        longest: What `auto` may grow to, in tokens; None: without end.
        types: Whether the model tells the two texts of a pair apart by their types.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_tokens: int | str,
        longest: int | None,
        truncate: str,
        template: str | None,
        pair: bool | None,
        units: str,
        types: bool,
    ) -> None:
        self.tokenizer, self.max_tokens, self.longest = tokenizer, max_tokens, longest
        self.truncate, self.pair, self.units, self.types = truncate, False if template else pair, units, types
        self.template = Template(template) if template else None

    def __call__(self, raw: Any) -> dict[str, Tensor]:
        """Return the example of one raw input."""
        texts = self._read(raw)
        [encoding] = self._encode([texts])
        example, _ = self._example(texts, encoding)
        return {name: torch.from_numpy(values) for name, values in example.items()}

    def prepare(self, raws: Sequence[Any]) -> Tokenized:
        """Return the examples of many raw inputs; `auto` is settled by the first call."""
        if self.pair is None and len(raws):
            self.pair = isinstance(raws[0], Mapping) and len(raws[0]) > 1
        distinct: dict[Texts, int] = {}
        numbers, errors = np.full(len(raws), -1, np.int64), {}
        for index, raw in enumerate(raws):
            try:
                numbers[index] = distinct.setdefault(self._read(raw), len(distinct))
            except ValueError as error:
                errors[index] = str(error)
        tokenized = Tokenized(numbers, errors, self._examples(distinct))
        if self.max_tokens == "auto":
            self.max_tokens = self._settle(tokenized.longest)
        return tokenized.tell(self._limit(), self.truncate)

    def text(self, raw: Any) -> str:
        """Return the text that places lie in."""
        return self._read(raw)[-1].text

    def _settle(self, longest: int) -> int:
        """Round up to a multiple of 8, the shapes that hardware likes."""
        wanted = max(8, -(-longest // 8) * 8)
        return min(wanted, self.longest or wanted)

    def _limit(self) -> int | None:
        return self.longest if self.max_tokens == "auto" else int(self.max_tokens)

    def _read(self, raw: Any) -> Texts:
        columns = isinstance(raw, Mapping)
        if self.template:
            if not columns:
                raise ValueError("the template wants columns; let the data set's input be a list of them")
            return (self.template.fill(raw),)
        if columns and len(raw) == 1:
            [raw], columns = raw.values(), False
        if self.pair is not None and self.pair != columns:
            wanted, found = ("a pair of texts", "one text") if self.pair else ("one text", f"columns: {', '.join(raw)}")
            raise ValueError(f"expected {wanted}, found {found}; a template can join columns to one text")
        if columns and len(raw) != 2:
            raise ValueError(f"a pair is two columns, found {', '.join(raw) or 'none'}; a template can join any number")
        texts = tuple(read_column(name, value) for name, value in raw.items()) if columns else (read(raw),)
        for number, text in enumerate(texts):
            if is_blank(text.text):
                raise ValueError(f"the column '{list(raw)[number]}': {BLANK}" if columns else BLANK)
        if columns and not self.tokenizer.num_special_tokens_to_add(is_pair=True):
            raise ValueError("this model's tokenizer puts nothing between the texts of a pair; join them by a template")
        return texts

    def _encode(self, batch: Sequence[Texts]) -> list[Encoding]:
        given = [tuple(text.text for text in texts) if len(texts) == 2 else texts[0].text for texts in batch]
        if len(given) > 1:
            return self.tokenizer.encode_batch(given)
        # a batch of one would start the tokenizer's threads, which loader processes do not have
        return [self.tokenizer.encode(*(given[0] if isinstance(given[0], tuple) else given))]

    def _examples(self, distinct: Mapping[Texts, int]) -> Iterator[tuple[Arrays, int] | str]:
        """Yield for each text its example and how many tokens it has uncut, or why it has none."""
        texts = iter(distinct)
        while chunk := list(islice(texts, _CHUNK)):
            for each, encoding in zip(chunk, self._encode(chunk), strict=True):
                try:
                    yield self._example(each, encoding)
                except ValueError as error:
                    yield str(error)

    def _example(self, texts: Texts, encoding: Encoding) -> tuple[Arrays, int]:
        ids = np.array(encoding.ids, np.int32)
        part = np.array(encoding.sequence_ids, np.float32)  # None, of special tokens, becomes nan
        if not len(ids):
            raise ValueError(f"the tokenizer makes no tokens of {texts[0].text!r:.60}")
        kept = self._kept(part)
        numbers = np.full(len(ids) + 1, -1, np.int32)  # one more, for the units that no token answers for: -1
        numbers[kept] = np.arange(len(kept))
        tokens, places = self._find_units(texts[-1], encoding, np.flatnonzero(part == len(texts) - 1))
        example = {"input_ids": ids[kept], "units": numbers[tokens], "places": places}
        if self.types and len(texts) == 2:
            example["token_type_ids"] = np.array(encoding.type_ids, np.int32)[kept]
        return example, len(ids)

    def _find_units(self, text: Text, encoding: Encoding, own: NDArray[np.int64]) -> tuple[NDArray[Any], Numbers]:
        """Return for each unit the token that answers for it, uncut, and its place; `own` are the text's tokens."""
        tokens = np.array(encoding.offsets, np.int32)[own]
        own = np.append(own, -1)
        if self.units == "pieces":
            places = trim(text.text, tokens)
            seen = np.flatnonzero(places[:, 0] < places[:, 1])
            return own[seen], places[seen]
        if text.words is not None:
            places = places_of_words(text.words)
            return own[answering(places, tokens)], places
        places = find_words(text.text)
        places, first = merge(places, answering(places, tokens))
        return own[first], places

    def _kept(self, part: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the numbers of the tokens that stay; `part` (T,) says whose each is; special ones, nan, stay."""
        limit = self._limit()
        if limit is None or len(part) <= limit:
            return np.arange(len(part))
        if self.truncate == "error":
            raise ValueError(f"has {len(part):,} tokens, more than max_tokens {limit:,}; truncate: right would cut it")
        special = np.flatnonzero(np.isnan(part))
        texts = [np.flatnonzero(part == number) for number in range(int(np.nanmax(part)) + 1)]
        rooms = _share([len(text) for text in texts], limit - len(special))
        cut = [_cut(text, room, self.truncate) for text, room in zip(texts, rooms, strict=True)]
        return np.sort(np.concatenate([special, *cut]))


def check_room(tokenizer: Tokenizer, max_tokens: int | str, positions: int | None) -> None:
    """Refuse more tokens than the model has positions, and fewer than a text needs beside the special ones."""
    if isinstance(max_tokens, str):
        return
    if positions is not None and max_tokens > positions:
        raise RecipeError(f"backbone.max_tokens: the model has {positions:,} positions, {max_tokens:,} are too many")
    least = tokenizer.num_special_tokens_to_add(is_pair=True) + 2
    if max_tokens < least:
        raise RecipeError(f"backbone.max_tokens: {max_tokens} leave no room for text, expected at least {least}")


def _share(lengths: list[int], room: int) -> list[int]:
    """Return how many tokens each text keeps: the longer is cut first, down to the length of the other."""
    if len(lengths) == 1:
        return [room]
    shorter = min(*lengths, room // 2)
    return [shorter, room - shorter] if lengths[0] <= lengths[1] else [room - shorter, shorter]


def _cut(tokens: NDArray[np.int64], room: int, side: str) -> NDArray[np.int64]:
    """Return `room` of the tokens."""
    if len(tokens) <= room:
        return tokens
    head = {"right": room, "left": 0, "middle": (room + 1) // 2}[side]
    return np.append(tokens[:head], tokens[len(tokens) - (room - head) :])
