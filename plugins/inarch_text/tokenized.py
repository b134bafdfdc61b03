"""Examples held compactly, and batches of them. Shapes: B examples, T tokens, U units."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = dict[str, NDArray[np.int32]]


class Tokenized(Sequence[dict[str, Tensor]]):
    """Examples of many raw inputs: each distinct one once, in a few long arrays that loader processes share.

    Args:
        numbers: For each raw input the number of its distinct text, or -1.
        errors: For the others, why there is none.
        examples: Of each distinct text the example and its number of tokens uncut, or why it has none.
    """

    def __init__(
        self, numbers: NDArray[np.int64], errors: dict[int, str], examples: Iterable[tuple[Arrays, int] | str]
    ) -> None:
        self.numbers, self.errors, self.faults = numbers, errors, dict[int, str]()
        self.notes: list[str] = []
        lengths: list[int] = []
        columns: dict[str, list[NDArray[np.int32]]] = {}
        for number, made in enumerate(examples):
            if isinstance(made, str):
                self.faults[number] = made
            example, length = ({}, 0) if isinstance(made, str) else made
            lengths.append(length)
            for name, values in example.items():
                # a text without an example has empty arrays, as many as the columns need to stay in step
                column = columns.setdefault(name, [])
                column += [values[:0]] * (number - len(column))
                column.append(values)
        self.lengths = np.array(lengths, np.int64)
        self.columns = {name: _pack(column, len(lengths)) for name, column in columns.items()}

    @property
    def longest(self) -> int:
        """The number of tokens of the longest text, uncut."""
        return int(self.lengths.max(initial=0))

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> dict[str, Tensor]:
        number = int(self.numbers[index])
        if number < 0:
            raise ValueError(self.errors[int(index) % len(self)])
        if number in self.faults:
            raise ValueError(self.faults[number])
        return {
            name: torch.from_numpy(values[bounds[number] : bounds[number + 1]])
            for name, (values, bounds) in self.columns.items()
        }

    def tell(self, max_tokens: int | None, truncate: str) -> "Tokenized":
        """Note how many inputs are longer than `max_tokens`."""
        lengths = self.lengths[self.numbers[self.numbers >= 0]]
        cut = 0 if max_tokens is None else int((lengths > max_tokens).sum())
        if cut and truncate != "error":
            side = "in the middle" if truncate == "middle" else f"on the {truncate}"
            are = "is" if cut == 1 else "are"
            self.notes.append(
                f"{cut:,} of {len(self):,} texts {are} longer than max_tokens {max_tokens:,} and {are} cut {side}"
            )
        return self


def collate(examples: Sequence[dict[str, Tensor]], pad: int, types: bool) -> dict[str, Tensor]:
    """Pad on the right to the longest: `input_ids`, `attention_mask`, `token_type_ids` (B, T), `units`, `places`."""
    ids = _pad(examples, "input_ids", pad)
    lengths = np.array([len(example["input_ids"]) for example in examples])
    batch = {
        "input_ids": ids,
        "attention_mask": (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64),
        "units": _pad(examples, "units", -1),
        "places": _pad(examples, "places", 0).astype(np.float32),
    }
    if types:
        batch["token_type_ids"] = _pad(examples, "token_type_ids", 0) if "token_type_ids" in examples[0] else ids * 0
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def _pad(examples: Sequence[dict[str, Tensor]], name: str, value: int) -> NDArray[np.int64]:
    rows = [example[name].numpy() for example in examples]
    padded = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), value, np.int64)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def _pack(column: list[NDArray[np.int32]], count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return all values in one array, and where each example begins and ends."""
    column += [column[0][:0]] * (count - len(column))
    return np.concatenate(column), np.append(0, np.cumsum([len(values) for values in column])).astype(np.int64)
