"""Splits that are made: stratified, seeded, never through a group."""

from collections import Counter
from dataclasses import replace

import pytest

from inarch.data import splits
from inarch.errors import DataError, RecipeError
from inarch.interfaces.dataset import Dataset, Rows, Stream
from inarch.recipe import Splits


def make(targets: list[object], groups: list[str] | None = None, **given: Rows) -> Dataset:
    columns = {"row": list(range(len(targets))), "target": targets, **({"group": groups} if groups else {})}
    return Dataset({"train": Rows(columns), **given}, "row", "target", "group" if groups else None, origin="here")


def rows(dataset: Dataset) -> dict[str, list[int]]:
    return {name: split.column("row") for name, split in dataset.splits.items()}


def test_every_row_is_in_one_split_and_the_shares_are_those_asked_for() -> None:
    made = rows(splits.complete(make(["a", "b"] * 100), Splits(valid=0.2, test=0.1)))
    assert sorted(row for found in made.values() for row in found) == list(range(200))
    assert {name: len(found) for name, found in made.items()} == {"train": 140, "valid": 40, "test": 20}


def test_classes_keep_their_shares() -> None:
    made = splits.complete(make(["a"] * 160 + ["b"] * 40), Splits(valid=0.25, test=0.25))
    for split in made.splits.values():
        counts = Counter(split.column("target"))
        assert counts["a"] == 4 * counts["b"]


def test_the_seed_decides_and_the_same_seed_repeats() -> None:
    dataset = make(["a", "b"] * 50)
    assert rows(splits.complete(dataset, Splits(seed=1))) == rows(splits.complete(dataset, Splits(seed=1)))
    assert rows(splits.complete(dataset, Splits(seed=1))) != rows(splits.complete(dataset, Splits(seed=2)))


def test_no_group_is_cut_through() -> None:
    groups = [f"g{index // 5}" for index in range(100)]
    made = splits.complete(make(["a", "b"] * 50, groups), Splits())
    seen = [set(split.column("group")) for split in made.splits.values()]
    assert len(seen) == 3
    assert len(set.union(*seen)) == sum(map(len, seen)) == 20


def test_a_large_group_is_not_set_aside_where_a_small_one_is_there() -> None:
    made = splits.complete(make(["a", "b"] * 50, ["big"] * 94 + ["x"] * 3 + ["y"] * 3), Splits(valid=0.01, test=0.01))
    assert "big" in made.splits["train"].column("group")


def test_a_group_in_two_given_splits_is_an_error() -> None:
    other = Rows({"row": [0], "target": ["a"], "group": ["g0"]})
    with pytest.raises(DataError, match="the group 'g0' is in train and in test"):
        splits.complete(make(["a", "b"], ["g0", "g1"], test=other), Splits())


def test_given_splits_are_kept_and_only_the_missing_one_is_cut() -> None:
    given = Rows({"row": [900], "target": ["a"]})
    made = rows(splits.complete(make(["a", "b"] * 20, test=given), Splits(valid=0.25)))
    assert made["test"] == [900]
    assert (len(made["train"]), len(made["valid"])) == (30, 10)


def test_a_share_of_zero_makes_no_split() -> None:
    assert list(splits.complete(make(["a", "b"] * 5), Splits(valid=0, test=0)).splits) == ["train"]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_train_keeps_an_example_of_each_tiny_class(share: float) -> None:
    targets = ["a"] * 20 + ["b"] * 3 + ["c"] * 2 + ["d"]
    made = splits.complete(make(targets), Splits(valid=0, test=share))
    assert set(made.splits["train"].column("target")) == {"a", "b", "c", "d"}


def test_train_keeps_an_example_of_each_rare_label() -> None:
    targets = ["x;y"] * 30 + ["x;rare"] * 2 + ["y;odd"] * 2
    made = splits.complete(make(targets), Splits(valid=0.3, test=0.3))
    assert {"x;rare", "y;odd"} <= set(made.splits["train"].column("target"))


def test_numbers_that_repeat_are_not_stratified_by_either_so_that_rare_ones_stay_rare() -> None:
    rare = [f"0.{number:04}" for number in range(1000, 1400) for _ in range(3)]
    made = splits.complete(make(["0.9"] * 6000 + rare), Splits(valid=0.05, test=0.1, examples=1000))
    for split in made.splits.values():
        values = split.column("target")
        assert values.count("0.9") / len(values) == pytest.approx(6000 / 7200, abs=0.05)


def test_numbers_are_not_stratified_by() -> None:
    made = rows(splits.complete(make([index / 7 for index in range(100)]), Splits(valid=0.2, test=0.2)))
    assert [len(found) for found in made.values()] == [60, 20, 20]


def test_too_few_rows_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"2 examples are too few.*splits: \{test: 0\}"):
        splits.complete(make(["a", "b"]), Splits())


def test_as_many_examples_of_train_are_kept_as_asked_for_and_it_is_said() -> None:
    made = splits.complete(make(["a"] * 160 + ["b"] * 40), Splits(valid=0.25, test=0.25, examples=20))
    assert Counter(made.splits["train"].column("target")) == {"a": 16, "b": 4}
    assert {name: len(found) for name, found in made.splits.items()} == {"train": 20, "valid": 50, "test": 50}
    assert made.notes == ("train keeps 20 of 100 examples (splits.examples: 20)",)


def test_few_examples_hold_one_of_each_class_before_a_second_of_any() -> None:
    made = splits.complete(make(["a"] * 97 + list("bcd")), Splits(valid=0, test=0, examples=5))
    assert Counter(made.splits["train"].column("target")) == {"a": 2, "b": 1, "c": 1, "d": 1}


def test_so_many_of_each_class_are_kept_also_of_joined_ones() -> None:
    dataset = replace(make(["a", "b", "c", "d"] * 25), classes={"vowel": ["a"], "consonant": ["b", "c", "d"]})
    made = splits.complete(dataset, Splits(per_class=8))
    found = Counter(made.splits["train"].column("target"))
    assert (found["a"], found["b"] + found["c"] + found["d"]) == (8, 8)
    assert made.notes == ("train keeps 16 of 70 examples (splits.per_class: 8)",)


@pytest.mark.parametrize("size", ["examples", "per_class"])
def test_fewer_examples_are_among_those_that_more_would_keep_and_the_seed_chooses(size: str) -> None:
    def kept(number: int, seed: int = 0) -> set[int]:
        return set(rows(splits.complete(make(["a", "b", "b"] * 50), Splits(**{size: number, "seed": seed})))["train"])

    assert kept(4) < kept(8) < kept(16)
    assert kept(8) == kept(8)
    assert kept(8, seed=1) != kept(8)


def test_the_other_splits_are_the_same_whatever_is_kept_of_train() -> None:
    whole, few = (rows(splits.complete(make(["a", "b"] * 50), Splits(examples=size))) for size in (None, 10))
    assert (few["valid"], few["test"]) == (whole["valid"], whole["test"])
    assert set(few["train"]) < set(whole["train"])


def test_examples_with_numbers_or_lists_as_targets_are_drawn_too() -> None:
    for targets in ([index / 7 for index in range(100)], [["O", "B-x"], ["O"]] * 50):
        assert len(rows(splits.complete(make(targets), Splits(valid=0, test=0, examples=10)))["train"]) == 10


@pytest.mark.parametrize(
    ("targets", "wanted", "said"),
    [
        (["a", "b"] * 5, {"examples": 11}, "splits.examples: train has 10 examples, not 11"),
        (["a"] * 7 + ["b"] * 3, {"per_class": 4}, "splits.per_class: train has 3 of the class 'b', not 4"),
        ([index / 7 for index in range(10)], {"per_class": 2}, "say 'splits.examples'"),
        ([["a"], ["b"]] * 5, {"per_class": 2}, "'target' holds no single classes; say 'splits.examples'"),
    ],
)
def test_keeping_more_than_there_is_says_how_many_there_are(
    targets: list[object], wanted: dict[str, int], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        splits.complete(make(targets), Splits(valid=0, test=0, **wanted))


@pytest.mark.parametrize("wanted", [{"examples": 4}, {"per_class": 4}])
def test_nothing_is_drawn_from_a_stream(wanted: dict[str, int]) -> None:
    stream = Stream(10, lambda seed, start: iter(()), ["row", "target"])
    with pytest.raises(RecipeError, match=rf"splits\.{next(iter(wanted))}: a stream cannot be drawn from"):
        splits.complete(Dataset({"train": stream}, "row", "target"), Splits(**wanted))


def by_speaker() -> Dataset:
    return make(["a", "b"] * 6, ["ann"] * 4 + ["bob"] * 4 + ["theo"] * 4)


def test_a_split_may_be_the_rows_with_some_values() -> None:
    wanted = Splits(test={"group": ["theo"]}, valid={"group": ["bob"], "row": ["4", "5"]})
    made = rows(splits.complete(replace(by_speaker(), group=None), wanted))
    assert made == {"train": [0, 1, 2, 3, 6, 7], "valid": [4, 5], "test": [8, 9, 10, 11]}


def test_a_share_is_cut_from_what_values_have_left() -> None:
    made = splits.complete(replace(by_speaker(), group=None), Splits(test={"group": ["theo"]}, valid=0.25))
    assert rows(made)["test"] == [8, 9, 10, 11] and len(rows(made)["valid"]) == 4


def test_values_that_cut_through_a_group_are_refused() -> None:
    with pytest.raises(DataError, match="the group 'ann' is in train and in test"):
        splits.complete(by_speaker(), Splits(test={"row": ["0"]}, valid=0))


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"speaker": ["ann"]}, r"splits.test: unknown column 'speaker'"),
        ({"group": ["tho"]}, r"splits.test.group: unknown value 'tho'.*Did you mean 'theo'"),
        ({"group": ["ann"], "row": ["9"]}, r"splits.test: no example of train has these values together"),
        ({"group": ["ann", "bob", "theo"]}, r"splits.test: every example .* nothing is left"),
    ],
)
def test_values_that_no_row_has_are_told(test: dict[str, list[str]], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        splits.complete(by_speaker(), Splits(test=test))


def test_a_stream_cannot_be_cut_by_values() -> None:
    dataset = Dataset({"train": Stream(3, lambda seed, start: iter(()), ["row", "target"])}, "row", "target")
    with pytest.raises(RecipeError, match=r"splits.test: a stream cannot be cut by values"):
        splits.complete(dataset, Splits(test={"row": ["1"]}))


def test_which_examples_are_kept_can_vary_while_valid_and_test_stay() -> None:
    def made(draw: int | None) -> dict[str, list[int]]:
        return rows(splits.complete(make(["a", "b"] * 50), Splits(examples=10, draw=draw)))

    whole, first, second = made(None), made(0), made(1)
    assert whole == first
    assert (second["valid"], second["test"]) == (whole["valid"], whole["test"])
    assert second["train"] != whole["train"]
