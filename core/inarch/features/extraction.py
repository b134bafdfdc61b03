"""Frozen features, computed once: what a backbone makes of a split, read from the store or computed and kept."""

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from inarch.builtin.head_modules import pool
from inarch.data.loaders import Examples, load
from inarch.data.order import evaluation_batches
from inarch.data.views import Views
from inarch.errors import DataError, RecipeError, listing
from inarch.features.folding import folded
from inarch.features.keys import describe, row_key
from inarch.features.shards import Array
from inarch.features.store import Store, Table
from inarch.interfaces.backbone import Backbone
from inarch.interfaces.dataset import Stream
from inarch.promises import check_features

SAVE_EVERY = 30.0
"""Seconds after which what was computed is stored, so that a run that was killed goes on from there."""


class Extracted(NamedTuple):
    """The features of a split."""

    values: Array
    """(M, D), fp32; memory-mapped where they were stored."""
    rows: list[int]
    """Numbers of the rows that could be read, ascending."""
    skipped: list[str]
    """Places and reasons of the others."""
    computed: int
    """How many were computed now; the others were stored."""
    notes: list[str]
    """Sentences for people: why features could not be stored, or which stored ones were damaged."""


def extract(
    examples: Examples,
    backbone: Backbone,
    accelerator: Accelerator,
    batch_size: int = 64,
    workers: int = 0,
    view: int = 0,
    field: str = "pooled",
    store: Store | None = None,
) -> Extracted:
    """Return what a backbone makes of a split, in fp32 and evaluation mode. All processes return the same.

    Equal to a pass without the store within 1e-4 of the largest feature; 5e-6 was measured (see `folding`).
    view: 0 is that of evaluation, an input with windows counting by the mean of theirs; k is drawn as in training from
    (seed, k, row), alone. field: `pooled`, or the `mean` or `max` of the tokens. Raises DataError for a row that cannot
    be read, unless the examples are made to skip it.
    """
    inputs = _checked(examples, backbone, field).inputs
    view = 0 if inputs is not None and inputs.prepared is not None else view  # then nothing is drawn at random
    table = (store or Store()).table(describe(backbone.to(accelerator.device), accelerator.device, view, field))
    keys = _keys(examples, accelerator, view)
    stored, present = table.read(keys)
    missing = sorted(set().union(*_gathered(accelerator, np.flatnonzero(~present).tolist())))
    if stored is not None and not missing:
        return Extracted(_agreed(stored, accelerator), list(range(len(keys))), [], 0, table.notes)
    one_pass = _Pass(examples, backbone, accelerator, batch_size, workers, view, field)
    rows, parts, skipped = _computed(one_pass, missing, keys, table)
    if stored is not None:
        kept = np.setdiff1d(np.flatnonzero(present), missing)
        rows, parts = np.concatenate([rows, kept]), [*parts, stored[kept]]
    if not parts:
        raise DataError("no example of the split could be read: " + "; ".join(skipped[:3]))
    order = np.argsort(rows)
    values = _agreed(np.concatenate(parts)[order], accelerator)
    return Extracted(values, rows[order].tolist(), skipped, len(missing) - len(skipped), table.notes)


@dataclass
class _Pass:
    """What one pass of a backbone over rows of a split needs."""

    examples: Examples
    backbone: Backbone
    accelerator: Accelerator
    batch_size: int
    workers: int
    view: int
    field: str
    _faster: AbstractContextManager[Any] | None = None

    def parts(self, rows: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield `rows`, `values` (B, D) and `skipped` of every batch, whichever process computes it."""
        chosen = np.array(rows)
        lengths, counts = self.examples.lengths, None if self.view else self.examples.counts
        batches = evaluation_batches(
            len(rows),
            self.batch_size,
            None if lengths is None else lengths[chosen],
            None if counts is None else counts[chosen],
        )
        processes, process = self.accelerator.num_processes, self.accelerator.process_index
        keys = [chosen[batch].tolist() for batch in batches[process::processes]]
        mine = load(Views(self.examples, self.view), keys, self.workers)
        for _ in range(-(-len(batches) // processes)):
            item = next(mine, None)
            part = None if item is None else self._part(item)
            yield from (found for found in _gathered(self.accelerator, part) if found is not None)

    def _part(self, item: Mapping[str, Any]) -> dict[str, Any]:
        part = {"rows": item["rows"], "skipped": item["skipped"]}
        if not item["rows"]:
            return part
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in item["batch"].items()}
        self._faster = self._faster or folded(self.backbone, partial(self._features, batch, slice(2)))
        with self._faster:
            return {**part, "values": self._values(batch, item["kept"])}

    def _values(self, batch: Mapping[str, Tensor], kept: Sequence[Tensor | None]) -> Array:
        """Return features (B, D) of inputs, those with windows by the mean of theirs."""
        size = len(next(iter(batch.values())))
        if all(stretches is None for stretches in kept):
            return self._features(batch, slice(size)).cpu().numpy()
        starts = range(0, size, self.batch_size)
        values = torch.cat([self._features(batch, slice(start, start + self.batch_size)) for start in starts])
        sizes = [1 if stretches is None else len(stretches) for stretches in kept]
        return torch.stack([windows.mean(0) for windows in torch.split(values, sizes)]).cpu().numpy()

    def _features(self, batch: Mapping[str, Tensor], part: slice) -> Tensor:
        some = {name: tensor[part] for name, tensor in batch.items()}
        return pool(check_features(self.backbone, self.backbone(**some), some), self.field).float()


@torch.inference_mode()
def _computed(
    one_pass: _Pass, missing: Sequence[int], keys: Sequence[bytes | None], table: Table
) -> tuple[Array, list[Array], list[str]]:
    """Compute and store features; return which rows could be read, what is to be joined to (M, D), and the others."""
    backbone, writes = one_pass.backbone, one_pass.accelerator.is_local_main_process
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    full, skipped, since, begun = [], [], 0, time.monotonic()
    try:
        for part in one_pass.parts(missing):
            skipped += part["skipped"]
            full += [part] if part["rows"] else []
            if writes and time.monotonic() - begun > SAVE_EVERY:
                _store(full[since:], keys, table, partial=True)
                since, begun = len(full), time.monotonic()
    finally:
        for module, mode in modes:
            module.training = mode
    if full and writes:
        _store(full, keys, table, partial=False)
    rows = np.array([row for part in full for row in part["rows"]], np.int64)
    return rows, [part["values"] for part in full], skipped


def _store(parts: Sequence[Mapping[str, Any]], keys: Sequence[bytes | None], table: Table, partial: bool) -> None:
    """Store parts in the order of their rows; what has no key is not stored."""
    rows = [row for part in parts for row in part["rows"]]
    order = [index for index in np.argsort(rows).tolist() if keys[rows[index]] is not None]
    if order:
        values = np.concatenate([part["values"] for part in parts])[order]
        table.write([keys[rows[index]] or b"" for index in order], values, partial)


def _checked(examples: Examples, backbone: Backbone, field: str) -> Examples:
    """Return the examples, or raise: features are of rows that can be read in any order, one vector for each."""
    needed = "pooled" if field == "pooled" else "tokens"
    if needed not in backbone.provides:
        raise RecipeError(
            f"features '{field}' need {needed}; the backbone provides {listing(sorted(backbone.provides))}"
        )
    if isinstance(examples.rows, Stream):
        raise DataError("features are of rows that can be read in any order, and a stream is read from its beginning")
    if examples.inputs is not None and examples.inputs.parts > 1:
        raise DataError(
            f"features are one vector for each row; here {examples.inputs.parts} columns go through the backbone apart"
        )
    return examples


def _keys(examples: Examples, accelerator: Accelerator, view: int) -> list[bytes | None]:
    """Return the keys of all rows; each process computes its share of them."""
    processes, process = accelerator.num_processes, accelerator.process_index
    found: list[bytes | None] = [None] * len(examples.rows)
    mine = [row_key(examples, row, view) for row in range(process, len(found), processes)]
    for number, keys in enumerate(_gathered(accelerator, mine)):
        found[number::processes] = keys
    return found


def _gathered(accelerator: Accelerator, value: Any) -> list[Any]:
    found: list[Any] = gather_object([value]) if accelerator.num_processes > 1 else [value]
    return found


def _agreed(values: Array, accelerator: Accelerator) -> Array:
    """Return features that are the same bits everywhere: machines may have stored what they computed in other batches.

    Where they differ, those of the first process count.
    """
    if len(set(_gathered(accelerator, zlib.crc32(np.ascontiguousarray(values).data)))) == 1:
        return values
    first: Array = _gathered(accelerator, values if accelerator.process_index == 0 else None)[0]
    return first
