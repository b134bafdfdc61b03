"""Event-based F1: cases by hand, a matching by scipy, and sums over recordings."""

import random
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from inarch import Targets
from inarch.intervals import estimate
from inarch_audio import event_metrics
from inarch_audio.event_metric_modules import count_pairs

EVENTS = Targets("segments", ("dog", "car"), {}, {"form": "segments", "values": {}})


def events(*places: tuple[float, float], label: str = "dog") -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": label, "score": 0.9} for start, end in places]


def f1(found: list[dict[str, Any]], true: list[dict[str, Any]], **options: Any) -> float:
    metric = event_metrics.event_f1(EVENTS, **options)
    metric.update([{"segments": found}], [true])
    return float(metric.compute())


def recordings(count: int, most: int, seed: int) -> list[list[dict[str, Any]]]:
    """Return random events, so dense that each is near several others."""
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        starts = [generator.uniform(0, 3) for _ in range(generator.randint(0, most))]
        rows.append([
            event
            for start in starts
            for event in events((start, start + generator.uniform(0.1, 2)), label=generator.choice(["dog", "car"]))
        ])  # fmt: skip
    return rows


@pytest.mark.parametrize(
    ("place", "right"),
    [
        ((1.0, 2.0), True),
        ((0.8, 2.2), True),  # both collars are part of it
        ((1.2, 1.8), True),
        ((0.79, 2.0), False),
        ((1.21, 2.0), False),
        ((1.0, 2.21), False),
        ((1.0, 1.79), False),
    ],
)
def test_an_event_of_a_second_may_be_off_by_two_tenths_at_both_ends(place: tuple[float, float], right: bool) -> None:
    assert f1(events(place), events((1.0, 2.0))) == right


def test_the_end_of_a_long_event_may_be_off_by_a_fifth_of_the_true_length() -> None:
    assert f1(events((0, 12)), events((0, 10))) == 1
    assert f1(events((0, 8)), events((0, 10))) == 1
    assert f1(events((0, 12.1)), events((0, 10))) == 0
    assert f1(events((0.3, 10)), events((0, 10))) == 0  # the start has its collar, however long the event is
    assert f1(events((0.3, 13)), events((0, 10)), onset=0.3, offset=0.3) == 1


def test_the_label_must_be_the_same() -> None:
    assert f1(events((1, 2), label="car"), events((1, 2))) == 0


def test_two_of_three_found_of_four_is_four_sevenths() -> None:
    found, true = events((0, 1), (2, 3), (8, 9)), events((0, 1), (2, 3), (4, 5), (6, 7))
    assert f1(found, true) == pytest.approx(2 * 2 / (3 + 4))


def test_an_event_is_found_once() -> None:
    assert f1(events((1, 2), (1.1, 2)), events((1, 2))) == pytest.approx(2 / 3)
    assert f1(events((1, 2)), events((1, 2), (1.1, 2))) == pytest.approx(2 / 3)


def test_events_are_paired_so_that_as_many_as_can_be_are_right() -> None:
    # the first found fits both true ones, the second only the one that the first would take
    assert f1(events((1.0, 2.0), (0.85, 2.0)), events((1.0, 2.0), (1.1, 2.0))) == 1


def test_nothing_found_where_nothing_is_and_where_something_is() -> None:
    assert f1([], []) == 0
    assert f1([], events((1, 2))) == 0
    assert f1(events((1, 2)), []) == 0


def test_one_label_is_counted_alone_and_by_the_name_of_the_recipe() -> None:
    found, true = events((0, 1)) + events((4, 5), label="car"), events((0, 1)) + events((2, 3), label="car")
    assert f1(found, true) == pytest.approx(0.5)
    assert f1(found, true, label="dog") == 1 and f1(found, true, label="car") == 0
    renamed = Targets("segments", ("dog",), {}, {"form": "segments", "values": {"bark": "dog", "7": "dog"}})
    metric = event_metrics.event_f1(renamed)
    metric.update([{"segments": events((0, 1), (2, 3))}], [events((0, 1), label="bark") + events((2, 3), label="7")])
    assert float(metric.compute()) == 1


@pytest.mark.parametrize("seed", range(20))
def test_the_most_pairs_are_those_of_scipy(seed: int) -> None:
    generator = np.random.default_rng(seed)
    fits = generator.random((generator.integers(1, 40), generator.integers(1, 40))) < generator.uniform(0.02, 0.3)
    expected = (maximum_bipartite_matching(csr_matrix(fits), "column") >= 0).sum()
    assert count_pairs([np.flatnonzero(row).tolist() for row in fits]) == expected


def test_a_chain_of_thousands_of_events_is_paired_anew() -> None:
    near = [[index, index + 1] for index in range(3000)]
    assert count_pairs([*near, [0]]) == 3001  # the last shifts all others by one


def test_random_recordings_have_the_value_of_all_comparisons() -> None:
    true, found = recordings(30, 25, seed=1), recordings(30, 25, seed=2)
    right = 0
    for its, mine in zip(true, found, strict=True):
        fits = np.array(
            [
                [
                    a["label"] == b["label"]
                    and abs(a["start"] - b["start"]) <= 0.2
                    and abs(a["end"] - b["end"]) <= max(0.2, 0.2 * (b["end"] - b["start"]))
                    for b in its
                ]
                for a in mine
            ]
        ).reshape(len(mine), len(its))
        right += (maximum_bipartite_matching(csr_matrix(fits), "column") >= 0).sum() if fits.size else 0
    metric = event_metrics.event_f1(EVENTS)
    metric.update([{"segments": mine} for mine in found], true)
    assert right > 30
    assert float(metric.compute()) == pytest.approx(2 * right / sum(map(len, true + found)))


def test_sums_over_recordings_are_the_value_of_all_and_make_its_interval() -> None:
    true = recordings(40, 8, seed=1)
    found = [{"segments": row if index % 3 else []} for index, row in enumerate(true)]
    whole, parts = event_metrics.event_f1(EVENTS), event_metrics.event_f1(EVENTS)
    whole.update(found, true)
    for one, other in zip(found, true, strict=True):
        parts.update([one], [other])
    assert parts.compute() == whole.compute()
    interval = estimate({"e": event_metrics.event_f1(EVENTS)}, found, true, None)["e"]
    assert interval.low is not None and interval.low < interval.value == float(whole.compute()) < interval.high


def test_tags_and_unknown_labels_are_refused() -> None:
    tags = Targets("segments", ("dog",), {}, {"form": "tags", "values": {}, "plain": None})
    with pytest.raises(ValueError, match=r"^event_f1 needs events \{start, end, label\} in seconds, but .* are tags"):
        event_metrics.verify_events(tags, {"label": None})
    with pytest.raises(ValueError, match=r"^label unknown label 'cat'"):
        event_metrics.verify_events(EVENTS, {"label": "cat"})
    event_metrics.verify_events(EVENTS, {"label": "car"})
