"""Which examples make up which step: functions of (seed, epoch), the same for any number of processes and workers."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Lengths = np.ndarray[Any, Any] | None

Indices = Sequence[int]

WINDOW = 16
"""Batches that are sorted by length together: more would leave less padding, and mix the examples less."""


def steps_per_epoch(length: int, batch_size: int) -> int:
    """Return the number of optimizer steps in one pass; the last batch may be short, and nothing is left out."""
    return -(-length // batch_size)


def epoch_batches(length: int, batch_size: int, seed: int, epoch: int, lengths: "Lengths" = None) -> list[list[int]]:
    """Return the batches of one epoch, over all processes; with `lengths`, each of examples of similar length.

    Then the permutation is sorted by length within windows, and the batches are shuffled: what a window holds is
    random, and so is when each length is seen.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(length)
    if lengths is not None:
        windows = [order[start : start + WINDOW * batch_size] for start in range(0, length, WINDOW * batch_size)]
        order = np.concatenate([window[np.argsort(lengths[window], kind="stable")] for window in windows])
    batches = [order[start : start + batch_size].tolist() for start in range(0, length, batch_size)]
    return batches if lengths is None else [batches[number] for number in random.permutation(len(batches))]


def share(batch: Indices, processes: int, process: int) -> Indices:
    """Return this process' part of a batch; parts differ in size by at most one, and may be empty."""
    bounds = [round(part * len(batch) / processes) for part in (process, process + 1)]
    return batch[bounds[0] : bounds[1]]


def training_keys(
    length: int,
    batch_size: int,
    seed: int,
    epochs: Sequence[int],
    skip: int,
    processes: int,
    process: int,
    lengths: "Lengths" = None,
) -> Iterator[tuple[int, Indices, int]]:
    """Yield (epoch, indices, size of the whole batch) for every step of `epochs`, without the first `skip` steps.

    A process whose part of a short batch is empty gets no indices; it still takes part in the step.
    """
    for number, epoch in enumerate(epochs):
        batches = epoch_batches(length, batch_size, seed, epoch, lengths)
        for batch in batches[skip if number == 0 else 0 :]:
            yield epoch, share(batch, processes, process), len(batch)


def evaluation_batches(
    length: int, batch_size: int, lengths: "Lengths" = None, counts: "Lengths" = None
) -> list[list[int]]:
    """Return the batches of an evaluation, the longest examples first; processes take whole batches in turn.

    A batch is computed as one piece wherever it is computed, so its outputs do not depend on the number of processes.
    counts: how many windows each example is seen through; together a batch has `batch_size`, unless one alone has more.
    """
    order = range(length) if lengths is None else np.argsort(-lengths, kind="stable").tolist()
    batches: list[list[int]] = []
    room = 0
    for index in order:
        count = 1 if counts is None else int(counts[index])
        if count > room:
            batches.append([])
            room = batch_size
        batches[-1].append(index)
        room -= count
    return batches
