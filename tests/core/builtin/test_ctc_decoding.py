"""Decoding, against the sums over all paths."""

from collections import defaultdict
from itertools import groupby, product

import numpy as np
import pytest

from inarch.builtin.ctc_decoding import BLANK, LEAST, beam, greedy


def logs_of(frames: int, pieces: int, seed: int, sharpness: float = 1.0) -> np.ndarray:
    """Log-probabilities (T, C) of random frames."""
    logits = sharpness * np.random.default_rng(seed).normal(size=(frames, pieces))
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def written(path: tuple[int, ...]) -> tuple[int, ...]:
    """What a path writes: repetitions are one, blanks nothing."""
    return tuple(piece for piece, _ in groupby(path) if piece != BLANK)


def texts_of(logs: np.ndarray) -> dict[tuple[int, ...], float]:
    """The probability of every text: the sum over all of its paths."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in product(range(logs.shape[1]), repeat=len(logs)):
        found[written(path)] += float(np.exp(sum(logs[frame, piece] for frame, piece in enumerate(path))))
    return found


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("frames", "pieces"), [(1, 3), (4, 2), (5, 4), (7, 3)])
def test_a_wide_beam_finds_the_likeliest_text_of_all_with_its_probability(frames: int, pieces: int, seed: int) -> None:
    logs = logs_of(frames, pieces, seed)
    texts = texts_of(logs)
    best = max(texts, key=texts.__getitem__)
    found = beam(logs, 10_000)
    assert tuple(found.pieces) == best and np.exp(found.score) == pytest.approx(texts[best])


def test_the_best_path_is_not_always_the_best_text() -> None:
    logs = np.log([[0.4, 0.35, 0.25], [0.4, 0.35, 0.25]])
    assert greedy(logs).pieces == [] and greedy(logs).score == pytest.approx(np.log(0.16))
    found = beam(logs, 10)
    assert found.pieces == [1] and found.score == pytest.approx(np.log(0.35 * 0.35 + 2 * 0.4 * 0.35))


@pytest.mark.parametrize("width", [2, 4, 100])
def test_a_beam_scores_at_least_as_high_as_the_best_path(width: int) -> None:
    better = worse = 0
    for seed in range(60):
        logs = logs_of(5, 4, seed, sharpness=1.5)
        texts = texts_of(logs)
        found, path = beam(logs, width), greedy(logs)
        true, other = texts[tuple(found.pieces)], texts[tuple(path.pieces)]
        assert path.score <= found.score <= np.log(true) + 1e-9
        better, worse = better + (true > other + 1e-12), worse + (true < other - 1e-12)
    assert better > 5 * worse and (width < 100 or worse == 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_path_is_the_likeliest_of_all_paths(seed: int) -> None:
    logs = logs_of(6, 3, seed)
    paths = {path: sum(logs[f, p] for f, p in enumerate(path)) for path in product(range(3), repeat=6)}
    best = max(paths, key=paths.__getitem__)
    found = greedy(logs)
    assert tuple(found.pieces) == written(best) and found.score == pytest.approx(paths[best])


def sure(path: list[int], pieces: int = 4, probability: float = 0.97) -> np.ndarray:
    """Log-probabilities of frames that are almost sure of a path."""
    probabilities = np.full((len(path), pieces), (1 - probability) / (pieces - 1))
    probabilities[range(len(path)), path] = probability
    return np.log(probabilities)


def test_both_say_in_which_frame_each_piece_begins() -> None:
    logs = sure([0, 0, 1, 1, 1, 0, 1, 2, 2, 0, 0, 3, 0])
    for found in (greedy(logs), beam(logs, 8)):
        assert found.pieces == [1, 1, 2, 3] and found.frames == [2, 6, 7, 11]


def test_a_piece_that_seems_possible_early_begins_where_it_is_likely() -> None:
    logs = np.log([[0.9, 0.09, 0.01], [0.9, 0.09, 0.01], [0.1, 0.89, 0.01], [0.9, 0.05, 0.05], [0.1, 0.1, 0.8]])
    assert beam(logs, 8).pieces == [1, 2] and beam(logs, 8).frames == [2, 4]


@pytest.mark.parametrize("seed", range(10))
def test_pieces_begin_in_order_in_frames_that_there_are(seed: int) -> None:
    logs = logs_of(30, 5, seed, sharpness=2.0)
    found = beam(logs, 6)
    assert len(found.frames) == len(found.pieces) > 3
    assert all(one < other for one, other in zip(found.frames, found.frames[1:], strict=False))
    assert {*found.frames} <= {*range(30)}


def test_no_frame_is_no_text() -> None:
    none = np.zeros((0, 3), np.float32)
    assert greedy(none) == beam(none, 4) == ([], [], 0.0)


def test_a_piece_that_is_nowhere_likely_is_not_tried() -> None:
    logs = np.log(np.array([[1 - 1.5 * np.exp(LEAST), np.exp(LEAST) / 2, np.exp(LEAST)]] * 3))
    logs[0] = np.log([0.001, 0.998, 0.001])
    assert beam(logs, 5).pieces == [1]


def test_long_inputs_take_time_and_not_more_than_that() -> None:
    logs = sure([0, 1, 0, 2, 2, 3] * 3000, probability=0.9999)
    found = beam(logs, 4)
    assert found.pieces == [1, 2, 3] * 3000 == greedy(logs).pieces and found.frames[-1] == len(logs) - 1
