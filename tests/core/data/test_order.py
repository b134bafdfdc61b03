"""Which examples make up which step."""

from itertools import product

import numpy as np
import pytest

from inarch.data.order import WINDOW, epoch_batches, evaluation_batches, share, steps_per_epoch, training_keys


@pytest.mark.parametrize(("length", "batch_size"), list(product([1, 7, 16, 33], [1, 5, 16, 50])))
def test_an_epoch_holds_every_example_once_in_as_many_steps_as_announced(length: int, batch_size: int) -> None:
    batches = epoch_batches(length, batch_size, seed=0, epoch=0)
    assert sorted(index for batch in batches for index in batch) == list(range(length))
    assert len(batches) == steps_per_epoch(length, batch_size)


def test_the_order_depends_on_seed_and_epoch_and_nothing_else() -> None:
    orders = {str(epoch_batches(50, 8, seed, epoch)) for seed, epoch in product(range(3), range(3))}
    assert len(orders) == 9
    assert epoch_batches(50, 8, 1, 2) == epoch_batches(50, 8, 1, 2)


@pytest.mark.parametrize(("length", "processes"), list(product(range(12), range(1, 6))))
def test_shares_are_the_batch_and_differ_in_size_by_at_most_one(length: int, processes: int) -> None:
    parts = [share(range(length), processes, process) for process in range(processes)]
    assert [index for part in parts for index in part] == list(range(length))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_process_takes_the_same_steps_and_together_they_make_the_batches(processes: int) -> None:
    keys = [list(training_keys(13, 4, 0, [0, 1], 0, processes, process)) for process in range(processes)]
    whole = list(training_keys(13, 4, 0, [0, 1], 0, 1, 0))
    for step, (epoch, batch, size) in enumerate(whole):
        parts = [keys[process][step] for process in range(processes)]
        assert [index for _, part, _ in parts for index in part] == batch
        assert {(e, s) for e, _, s in parts} == {(epoch, size)}


def test_skipped_steps_are_those_of_the_first_epoch() -> None:
    whole = list(training_keys(13, 4, 0, [2, 3], 0, 1, 0))
    assert list(training_keys(13, 4, 0, [2, 3], 3, 1, 0)) == whole[3:]


def test_an_evaluation_reads_every_row_once_in_whole_batches() -> None:
    assert evaluation_batches(14, 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13]]


def test_a_batch_of_an_evaluation_has_no_more_windows_than_it_may_have_examples_unless_one_alone_has_more() -> None:
    assert evaluation_batches(6, 4, counts=np.array([1, 3, 1, 9, 1, 1])) == [[0, 1], [2], [3], [4, 5]]


@pytest.mark.parametrize(("length", "batch_size"), list(product([1, 7, 16, 333], [1, 5, 16, 50])))
def test_batches_of_similar_length_hold_every_example_once_in_as_many_steps(length: int, batch_size: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 100, length)
    batches = epoch_batches(length, batch_size, 0, 0, lengths)
    assert sorted(index for batch in batches for index in batch) == list(range(length))
    assert len(batches) == steps_per_epoch(length, batch_size)


def test_batches_of_similar_length_depend_on_seed_and_epoch_and_come_in_no_order_of_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 800)
    orders = {str(epoch_batches(800, 8, seed, epoch, lengths)) for seed, epoch in product(range(3), range(3))}
    assert len(orders) == 9
    longest = [max(lengths[batch]) for batch in epoch_batches(800, 8, 0, 0, lengths)]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_batches_of_similar_length_need_far_less_padding() -> None:
    lengths = np.random.default_rng(0).lognormal(3, 0.8, 32 * WINDOW * 4).astype(int) + 1

    def padded(batches: list[list[int]]) -> int:
        return sum(len(batch) * lengths[batch].max() for batch in batches)

    random, similar = (padded(epoch_batches(len(lengths), 32, 0, 0, known)) for known in (None, lengths))
    assert random > 2 * lengths.sum()
    assert similar < 1.3 * lengths.sum()


def test_an_evaluation_by_length_reads_every_row_once_the_longest_first() -> None:
    lengths = np.array([3, 9, 1, 9, 4, 2])
    assert evaluation_batches(6, 2, lengths) == [[1, 3], [4, 0], [5, 2]]
