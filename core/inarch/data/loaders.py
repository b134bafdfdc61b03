"""Loaders: rows to batches, in worker processes. One item is one optimizer step's part of this process.

An item is a dict with `batch`, `targets`, `rows` (numbers of the rows in it), `size` (examples in the step over all
processes) and `skipped` (places and reasons of rows that could not be read). An item whose rows are all missing has no
batch. An item that is only `error` is a DataError, for an exception that crosses a process boundary loses its type.
"""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from inarch.data.order import Indices
from inarch.errors import DataError
from inarch.interfaces.backbone import Backbone
from inarch.interfaces.dataset import Dataset, Stream
from inarch.interfaces.head import Head

Key = tuple[int | None, Indices, int]
Item = dict[str, Any]


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed the global generators of python, numpy and torch from `key`, and put them back afterwards."""
    state = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reseed the accelerator
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.default_generator.set_state(state[2])


class Examples(TorchDataset[Item]):
    """One split, ready to be read: ``examples[(epoch, rows, size)]`` is a finished item; epoch None is evaluation."""

    def __init__(
        self, dataset: Dataset, split: str, backbone: Backbone, head: Head, seed: int, skip_unreadable: bool
    ) -> None:
        self.dataset, self.seed, self.skip_unreadable = dataset, seed, skip_unreadable
        self.rows = dataset.splits[split]
        self.transforms = {training: backbone.transform(training) for training in (True, False)}
        self.collate, self.encode, self.mix = backbone.collate, head.encode, head.mix

    def __getitem__(self, key: Key) -> Item:
        """Read, transform and collate the rows of one step."""
        epoch, indices, size = key
        return self.assemble([(int(index), self.rows[int(index)]) for index in indices], epoch, size)

    def assemble(self, rows: Sequence[tuple[int, Any]], epoch: int | None, size: int) -> Item:
        """Transform and collate rows that are already read."""
        read, skipped = [], []
        for index, row in rows:
            try:
                read.append((index, *self._read(index, row, epoch)))
            except (OSError, ValueError, DataError) as error:
                place = f"{self.rows.where(index)}: {error}"
                if not self.skip_unreadable:
                    return {"error": f"{place} (on_error: skip would leave it out)"}
                skipped.append(place)
        item: Item = {"rows": [index for index, *_ in read], "size": size, "skipped": skipped}
        if read:
            item["batch"] = self.collate([example for _, example, _, _ in read])
            item["targets"] = self._targets(read)
        return item

    def _read(self, index: int, row: Any, epoch: int | None) -> tuple[Any, Any, Any]:
        if epoch is None:
            return self.transforms[False](self.dataset.raw(row)), row[self.dataset.target], None
        transform = self.transforms[True]
        with seeded(self.seed, epoch, index):
            example = transform(self.dataset.raw(row))
            if not hasattr(transform, "mix") or isinstance(self.rows, Stream):
                return example, row[self.dataset.target], None
            partner = self.rows[int(torch.randint(len(self.rows), ()))]
            example, share = transform.mix(example, transform(self.dataset.raw(partner)))
            return example, row[self.dataset.target], (partner[self.dataset.target], share)

    def _targets(self, read: Sequence[tuple[int, Any, Any, Any]]) -> torch.Tensor:
        targets = self.encode([target for _, _, target, _ in read])
        if read[0][3] is None:
            return targets
        partners = self.encode([mixed[0] for *_, mixed in read])
        return self.mix(targets, partners, torch.tensor([float(mixed[1]) for *_, mixed in read]))


class StreamSteps(IterableDataset[Item]):
    """The steps of a split that can only be read in order."""

    def __init__(
        self,
        examples: Examples,
        epochs: Sequence[int | None],
        batch_size: int,
        skip: int,
        share: Callable[[Any], Any] = list,
    ) -> None:
        self.examples, self.epochs, self.batch_size, self.skip, self.share = examples, epochs, batch_size, skip, share

    def __iter__(self) -> Iterator[Item]:
        """Yield this process' part of every step."""
        for number, epoch in enumerate(self.epochs):
            start = self.skip * self.batch_size if number == 0 else 0
            seed = None if epoch is None else self.examples.seed * 100_003 + epoch
            rows, seen = enumerate(self.examples.rows.read(seed, start), start), start
            while step := list(islice(rows, self.batch_size)):
                seen += len(step)
                yield self.examples.assemble(self.share(step), epoch, len(step))
            if seen != len(self.examples.rows):
                yield {"error": f"the stream ended after {seen} of {len(self.examples.rows)} rows; mend 'examples'"}


def worker_count(wanted: int | str, on_accelerator: bool, training: bool) -> int:
    """Return how many processes load data; `auto` for an accelerator leaves a core to each training process.

    On a CPU, loaders and training share the cores: `auto` is one process for training (steps 1.07 times faster on two
    cores), and none for evaluations, for starting a process costs more there than it gains.
    """
    if isinstance(wanted, int):
        return wanted
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if on_accelerator:
        return min(8, max(1, cores - 1))
    return 1 if training and cores > 1 else 0


def load(steps: TorchDataset[Item], keys: Any, workers: int, pin: bool = False) -> Iterator[Item]:
    """Yield the items of `keys` in order, read ahead by `workers` processes; unreadable data raises DataError here."""
    loader: DataLoader[Item] = DataLoader(
        steps,
        sampler=keys,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,  # only a child notices that this process was killed
        pin_memory=pin,
        generator=torch.Generator(),  # its own, or starting workers would draw from the generator of training
    )
    for item in loader:
        if "error" in item:
            raise DataError(item["error"])
        yield item


def _as_it_is(item: Any) -> Any:
    return item
