"""Units of windows joined to those of the whole input, and what heads make of them."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from inarch import Features, Targets
from inarch.builtin.heads import span, tagger
from inarch.builtin.units import join

FRAME = 0.02  # seconds


def frames(count: int, start: float = 0.0, seen: int | None = None) -> dict[str, Tensor]:
    """Return the outputs of `count` frames from a second on; the first number of logits is that of the frame."""
    starts = start + FRAME * torch.arange(count)
    numbers = (starts / FRAME).round()
    places = torch.stack([starts, starts + FRAME], -1)
    logits = torch.stack([numbers, numbers.sin()], -1)
    return {"logits": logits, "places": places, "seen": torch.arange(count) < (count if seen is None else seen)}


def windows(*rows: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def cut(length: int, size: int, hop: int, grain: float) -> tuple[dict[str, Tensor], Tensor]:
    """Return windows of `size` frames over `length`, and their stretches, which part in the middle of each overlap."""
    starts = [*range(0, length - size, hop), length - size]
    parts = [(after + before + size) / 2 * grain for before, after in pairwise(starts)]
    kept = torch.tensor(list(zip([0.0, *parts], [*parts, length * grain], strict=True)))
    return windows(*(frames(size, start * FRAME) for start in starts)), kept


@pytest.mark.parametrize(("size", "hop"), [(50, 37), (50, 38), (40, 20), (25, 24), (30, 30)])
@pytest.mark.parametrize("length", [51, 1000, 20_000])
def test_the_units_of_windows_are_those_of_the_whole(length: int, size: int, hop: int) -> None:
    # an odd overlap parts in the middle of a frame, which rounding must neither lose nor double
    whole, joined = frames(length), join(*cut(length, size, hop, FRAME))
    assert joined["logits"].shape == (1, length, 2)
    assert joined["logits"][0, :, 0].tolist() == list(range(length))
    assert torch.allclose(joined["places"][0], whole["places"], atol=1e-4)
    assert joined["seen"].all() and joined["seen"].shape == (1, length)


def test_each_unit_is_of_the_window_whose_stretch_holds_its_middle() -> None:
    first, second = frames(10), frames(10, 5 * FRAME)
    first["logits"][:, 1], second["logits"][:, 1] = 1, 2
    joined = join(windows(first, second), torch.tensor([[0, 7 * FRAME], [7 * FRAME, 15 * FRAME]]))
    assert joined["logits"][0, :, 1].tolist() == [1] * 7 + [2] * 8


def test_padding_and_units_that_were_cut_off_are_left_out() -> None:
    first, second = frames(6), frames(6, 4 * FRAME, seen=3)
    second["places"][3:] = 0
    joined = join(windows(first, second), torch.tensor([[0, 5 * FRAME], [5 * FRAME, 1.0]]))
    assert joined["logits"][0, :, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_what_a_window_has_not_seen_of_its_stretch_comes_from_the_next() -> None:
    first, second = frames(6, seen=4), frames(6, 3 * FRAME)
    joined = join(windows(first, second), torch.tensor([[0, 5 * FRAME], [5 * FRAME, 1.0]]))
    assert joined["logits"][0, :, 0].tolist() == list(range(9))


def test_one_unit_stays_where_none_is_seen() -> None:
    joined = join(windows(frames(4, seen=0), frames(4, 2 * FRAME, seen=0)), torch.tensor([[0, 0.06], [0.06, 1.0]]))
    assert joined["logits"].shape == (1, 1, 2) and not joined["seen"].any()


def test_windows_of_different_grids_leave_no_place_to_two_units() -> None:
    first, second = frames(50), frames(50, 37.3 * FRAME)
    joined = join(windows(first, second), torch.tensor([[0, 0.87], [0.87, 2.0]]))
    starts, ends = joined["places"][0].unbind(-1)
    assert (starts[1:] >= ends[:-1] - FRAME / 2 - 1e-6).all()
    assert (starts[1:] <= ends[:-1] + FRAME / 2 + 1e-6).all()


def test_a_tagger_names_the_same_events_in_windows_as_in_the_whole() -> None:
    torch.manual_seed(0)
    targets = Targets("segments", ("a", "b"), {"train": [1, 1]}, {"form": "segments", "values": {}, "plain": None})
    head = tagger(targets, 4).eval()
    tokens, whole = torch.randn(200, 4), frames(200)
    features = Features(
        tokens=tokens[None], units=torch.arange(200)[None], places=whole["places"][None], mask=torch.ones(1, 200)
    )
    (expected,) = head.predict(head(features))
    starts = [0, 37, 74, 111, 148, 150]
    parts = Features(
        tokens=torch.stack([tokens[start : start + 50] for start in starts]),
        units=torch.arange(50).expand(6, -1),
        places=torch.stack([frames(50, start * FRAME)["places"] for start in starts]),
        mask=torch.ones(6, 50),
    )
    (found,) = head.predict(head.join(head(parts), cut(200, 50, 37, FRAME)[1]))
    assert found["tags"] == expected["tags"] and len(expected["segments"]) > 10
    for one, other in zip(found["segments"], expected["segments"], strict=True):
        assert one == {key: value if key == "label" else pytest.approx(value, abs=1e-4) for key, value in other.items()}


def test_a_span_is_chosen_among_the_units_of_all_windows() -> None:
    head = span(Targets("span"), 2, longest=30)
    first, second = frames(10), frames(10, 6 * FRAME)
    for row in (first, second):
        row["logits"] = torch.zeros(10, 2)
    first["logits"][9] = 9.0  # of the second window's stretch, where the answer starts in this frame and ends later
    second["logits"][3, 0] = second["logits"][5, 1] = 5.0
    kept = torch.tensor([[0, 8 * FRAME], [8 * FRAME, 1.0]])
    (found,) = head.predict(head.join(windows(first, second), kept))
    assert (found["start"], found["end"]) == (pytest.approx(9 * FRAME), pytest.approx(12 * FRAME))
