"""Loaders: rows to batches, in worker processes. One item is one optimizer step's part of this process.

An item is a dict with `batch`, `targets`, `rows` (numbers of the rows in it), `kept` (of each row None, or what each
of its windows in the batch answers for), `size` (examples in the step over all processes), `tokens` (how many, and how
many with padding) and `skipped` (places and reasons of rows that could not be read). An item whose rows are all missing
has no batch. In evaluation an item for a head that is measured by its predictions has `raws` and `truths`, the raw
inputs and targets. An item that is only `error` is a DataError, for an exception that crosses a process boundary loses
its type.
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

from inarch import interruption
from inarch.data.inputs import Inputs, Seen, see
from inarch.data.order import Indices
from inarch.data.workers import deaths_told, tell_deaths
from inarch.errors import DataError
from inarch.interfaces.backbone import Backbone, Window
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


class _Raws(Sequence[Any]):
    """The raw inputs of a split, read when asked for."""

    def __init__(self, dataset: Dataset, rows: Any) -> None:
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset.raw(self.rows[index])


class Examples(TorchDataset[Item]):
    """One split, ready to be read: ``examples[(epoch, rows, size)]`` is a finished item; epoch None is evaluation."""

    def __init__(
        self, dataset: Dataset, split: str, backbone: Backbone, head: Head, seed: int, skip_unreadable: bool
    ) -> None:
        self.dataset, self.seed, self.skip_unreadable = dataset, seed, skip_unreadable
        self.rows = dataset.splits[split]
        self.transforms = {training: backbone.transform(training) for training in (True, False)}
        self.separate, self.whole, self.refuse = head.separate, head.whole, head.refuse
        self.refuses = self.whole or type(head).refuse is not Head.refuse
        self.split = split
        self.collate, self.encode, self.mix = backbone.collate, head.encode, head.mix
        self.length, self.windows = backbone.length, backbone.windows
        self.inputs: Inputs | None = None
        self.notes: list[str] = []  # what people should know of the inputs
        self.partner: Callable[[int], int] | None = None
        self.readable = type(head).scores is Head.scores  # metrics then read predictions, which may quote the input
        if not isinstance(self.rows, Stream):
            self.inputs = Inputs(_Raws(dataset, self.rows), backbone, head.separate)
            self.notes = self.inputs.notes
            self.partner = head.partners(self.rows.column(dataset.target)) if split == "train" else None

    @property
    def lengths(self) -> "np.ndarray[Any, Any] | None":
        """How long each example is, or None where that is not known beforehand."""
        return None if self.inputs is None else self.inputs.lengths

    @property
    def counts(self) -> "np.ndarray[Any, Any] | None":
        """How many windows each example is seen through in evaluation, or None where that is one."""
        return None if self.inputs is None else self.inputs.counts

    def unreadable(self) -> Iterator[tuple[int, str]]:
        """Yield which rows cannot be read, or in train cannot carry their targets, as lengths tell beforehand."""
        if self.inputs is None:
            return
        yield from self.inputs.unreadable()
        targets = self.rows.column(self.dataset.target) if self.refuses and self.split == "train" else []
        lengths = [None] * len(targets) if self.lengths is None else self.lengths.tolist()
        for index, (target, length) in enumerate(zip(targets, lengths, strict=False)):
            try:
                windows = () if length == 0 else self.inputs.windows(index)
                if self.whole and windows:
                    raise ValueError(_too_long(windows))
                if length and not windows:
                    self.refuse(target, length)
            except (OSError, ValueError) as error:
                yield index, str(error)

    def __getitem__(self, key: Key) -> Item:
        """Read, transform and collate the rows of one step."""
        epoch, indices, size = key
        return self.assemble([(int(index), self.rows[int(index)]) for index in indices], epoch, size)

    def assemble(self, rows: Sequence[tuple[int, Any]], epoch: int | None, size: int) -> Item:
        """Transform and collate rows that are already read."""
        read, skipped = [], []
        for index, row in rows:
            try:
                read.append((index, row, *self._read(index, row, epoch)))
            except DataError as error:
                if not self.skip_unreadable:
                    return {"error": f"{error} (on_error: skip would leave it out)"}
                skipped.append(str(error))
        item: Item = {"rows": [index for index, *_ in read], "size": size, "skipped": skipped}
        if read:
            members = [member for _, _, seen, _ in read for member in seen.members]
            lengths = [self.length(member) for member in members]
            item |= {"batch": self.collate(members), "targets": self._targets(read)}
            item["kept"] = [None if seen.kept is None else torch.from_numpy(seen.kept) for _, _, seen, _ in read]
            item["tokens"] = (sum(lengths), max(lengths) * len(lengths))
        if epoch is None and self.readable:
            item["raws"] = [self.dataset.raw(row) for _, row, *_ in read]
            item["truths"] = [row[self.dataset.target] for _, row, *_ in read]
        return item

    def _read(self, index: int, row: Any, epoch: int | None) -> tuple[Seen, Any]:
        """Return a row as the backbone sees it, and the target of what was mixed in or put beside it."""
        prepared = self.inputs is not None and self.inputs.prepared is not None  # then nothing is drawn at random
        if epoch is None or (self.partner is None and prepared):
            return self.see(index, row, False), None
        with seeded(self.seed, epoch, index):
            members = self.see(index, row, True).members
            if self.partner is not None:
                beside = self.partner(index)
                other = self.rows[beside]
                return Seen([*members, *self.see(beside, other, True).members], None), other[self.dataset.target]
            if not hasattr(self.transforms[True], "mix") or isinstance(self.rows, Stream):
                return Seen(members, None), None
            drawn = int(torch.randint(len(self.rows), ()))
            partner, change = self.rows[drawn], self.transforms[True]
            mixed, share = change.mix(*members, *self.see(drawn, partner, True).members)  # type: ignore[attr-defined]
            return Seen([mixed], None), (partner[self.dataset.target], share)

    def see(self, index: int, row: Any, training: bool) -> Seen:
        """Return a row as the backbone sees it, in training without windows; or raise DataError."""
        raw = self.dataset.raw(row)
        try:
            if self.inputs is not None and self.inputs.prepared is not None:
                seen = self.inputs[index]
            else:
                windows = () if self.separate or (training and not self.whole) else self.windows(raw)
                if training and windows:
                    raise ValueError(_too_long(windows))
                seen = see(raw, self.transforms[training], windows, self.separate)
            if training and len(seen.members) == 1:
                self.refuse(row[self.dataset.target], self.length(seen.members[0]))
        except (OSError, ValueError, DataError) as error:
            raise DataError(f"{self.rows.where(index)}: {error}") from error
        return seen

    def _targets(self, read: Sequence[tuple[int, Any, Any, Any]]) -> torch.Tensor:
        targets = self.encode([row[self.dataset.target] for _, row, *_ in read])
        if read[0][3] is None:
            return targets
        others = [other for *_, other in read]
        if self.partner is not None:
            return torch.stack([targets, self.encode(others)], 1)
        return self.mix(targets, self.encode([mixed[0] for mixed in others]),
                        torch.tensor([float(mixed[1]) for mixed in others]))  # fmt: skip


def _too_long(windows: Sequence[Window]) -> str:
    longest, found = windows[0].end - windows[0].start, windows[-1].end
    return (
        f"its length is {found:.4g}, and {longest:.4g} go through the backbone at once; the part that training would "
        "cut out has not the target of the whole: raise what the backbone takes, or leave it out"
    )


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
    """Yield the items of `keys` in order, read ahead by `workers` processes; unreadable data raises DataError here.

    A worker that dies is a RunError, there or wherever the main thread is at that moment.
    """
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
    with deaths_told(workers), interruption.starting_readers():
        items = iter(loader)
    if workers:
        tell_deaths(workers)
    while True:
        with deaths_told(workers):
            item = next(items, None)
        if item is None:
            return
        if "error" in item:
            raise DataError(item["error"])
        yield item


def _as_it_is(item: Any) -> Any:
    return item
