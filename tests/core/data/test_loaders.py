"""Promise 6: sample order and augmentation are functions of (seed, epoch, index)."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from inarch_toy.backbone import Vectors
from inarch_toy.spelling import LETTERS, Letters
from marked import TASKS

import inarch
from inarch.builtin.embedder_targets import read_embedder
from inarch.builtin.head_modules import Classifier
from inarch.builtin.heads import embedder, tagger
from inarch.builtin.segment_targets import read_segments
from inarch.checkpoint import file_hash
from inarch.data.loaders import Examples, Item, load, seeded, worker_count
from inarch.interfaces.dataset import Dataset, Rows, Targets

AUGMENTED = {"backbone.noise": 0.3, "backbone.mixup": True, "backbone.dropout": 0.2}


@pytest.fixture
def examples() -> Examples:
    """Twelve examples with noise and mixing."""
    targets = Targets("classes", ("a", "b"), {"train": [6, 6]}, {"values": {"a": 0, "b": 1}})
    rows = Rows({"vector": [f"{index} 0 1 2" for index in range(12)], "class": list("ab" * 6)})
    backbone = Vectors("none", 4, 8, 1, 0.0, False, 0.3, True, 0)
    head = Classifier(targets, 8, 0.0, "none", None, 0.0, "pooled")
    return Examples(Dataset({"train": rows}, "vector", "class"), "train", backbone, head, 0, False)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")  # more than the cores of a small machine
@pytest.mark.parametrize("workers", [1, 4])
def test_training_is_the_same_to_the_bit_for_any_number_of_loader_workers(
    toy_recipe: Path, tmp_path: Path, workers: int
) -> None:
    for count in (0, workers):
        inarch.train(toy_recipe, {**AUGMENTED, "train.workers": count}, out=tmp_path / str(count))
    for name in ("metrics.jsonl", "model/model.safetensors", "predictions/test.jsonl"):
        assert file_hash(tmp_path / "0" / name) == file_hash(tmp_path / str(workers) / name), name


def test_an_example_is_augmented_by_seed_epoch_and_its_own_number_alone(examples: Examples) -> None:
    alone = examples[(3, [7], 1)]["batch"]["vector"][0]
    among = examples[(3, [2, 7, 5], 3)]["batch"]["vector"][1]
    assert torch.equal(alone, among)
    assert not torch.equal(alone, examples[(4, [7], 1)]["batch"]["vector"][0])
    examples.seed = 1
    assert not torch.equal(alone, examples[(3, [7], 1)]["batch"]["vector"][0])


def test_evaluation_is_not_augmented(examples: Examples) -> None:
    assert examples[(None, [7], 1)]["batch"]["vector"][0].tolist() == [7, 0, 1, 2]


def test_mixed_targets_are_probabilities_of_both_classes(examples: Examples) -> None:
    targets = examples[(0, list(range(12)), 12)]["targets"]
    assert targets.shape == (12, 2)
    assert torch.allclose(targets.sum(1), torch.ones(12))
    assert ((targets > 0.01) & (targets < 0.99)).any()


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_generators_as_they_were(examples: Examples, workers: int) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    list(load(examples, [(0, [1, 2], 2), (0, [3], 1)], workers))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert before[2] == np.random.get_state()[1].tolist()


def test_seeded_numbers_depend_on_the_whole_key_in_every_library() -> None:
    def draw(*key: int) -> tuple[float, float, float]:
        with seeded(*key):
            return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert draw(0, 1, 2) == draw(0, 1, 2)
    for a, b in zip(draw(0, 1, 2), draw(0, 2, 1), strict=True):
        assert a != b


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_example_is_an_error_that_names_its_place_and_keeps_its_type(
    examples: Examples, workers: int
) -> None:
    examples.rows.columns["vector"][5] = "1 2"
    with pytest.raises(inarch.DataError, match=r"row 5: expected 4 numbers, found 2 \(on_error: skip"):
        list(load(examples, [(0, [4, 5], 2)], workers))


def test_a_skipped_example_is_left_out_and_reported(examples: Examples) -> None:
    examples.rows.columns["vector"][5] = "1 2"
    examples.skip_unreadable = True
    [item] = load(examples, [(None, [4, 5], 2)], 0)
    assert item["rows"] == [4] and len(item["targets"]) == 1
    assert item["skipped"] == ["row 5: expected 4 numbers, found 2"]


def test_a_number_of_workers_is_taken_as_it_is_written() -> None:
    assert worker_count(3, on_accelerator=False, training=False) == 3
    assert worker_count("auto", on_accelerator=True, training=False) >= 1
    assert worker_count("auto", on_accelerator=False, training=False) == 0


TEXTS = ["abc", "de", "abcdefgh", "a", "hgf", "bb"]
KINDS = list("xyxyxy")


def compared(texts: list[str] = TEXTS, prepared: bool = True, skip: bool = False) -> Examples:
    """Texts of two classes for the head that compares each with a partner."""
    dataset = inarch.Dataset({"train": Rows({"text": texts, "kind": KINDS})}, "text", "kind")
    backbone = Letters("none", 4, prepared, None)
    return Examples(dataset, "train", backbone, embedder(read_embedder(dataset, {"loss": "cosine"}), 4), 0, skip)


def texts_of(item: Item) -> list[str]:
    """The texts of a batch, read back from its letters."""
    return ["".join(LETTERS[number - 1] for number in row if number) for row in item["batch"]["letters"].tolist()]


@pytest.mark.parametrize("prepared", [True, False])
def test_a_partner_stands_beside_its_example_and_so_does_its_target(prepared: bool) -> None:
    item = compared(prepared=prepared)[(2, [0, 3, 4], 3)]
    found, targets = texts_of(item), item["targets"]
    assert found[0::2] == ["abc", "a", "hgf"] and targets.shape == (3, 2)
    for text, partner, (own, other) in zip(found[0::2], found[1::2], targets.tolist(), strict=True):
        assert partner != text
        assert [KINDS[TEXTS.index(name)] for name in (text, partner)] == ["xy"[own], "xy"[other]]
    assert item["tokens"] == (sum(map(len, found)), 6 * max(map(len, found)))


@pytest.mark.parametrize("prepared", [True, False])
def test_a_partner_depends_on_seed_epoch_and_its_examples_number_alone(prepared: bool) -> None:
    examples = compared(prepared=prepared)
    of_four = [texts_of(examples[(epoch, [4], 1)])[1] for epoch in range(10)]
    assert of_four == [texts_of(examples[(epoch, [2, 4, 5], 3)])[3] for epoch in range(10)]
    assert len(set(of_four)) > 2
    examples.seed = 1
    assert of_four != [texts_of(examples[(epoch, [4], 1)])[1] for epoch in range(10)]


def test_partners_are_the_same_for_any_number_of_workers() -> None:
    keys = [(epoch, rows, 3) for epoch in range(3) for rows in ([0, 1, 2], [5, 3, 4])]
    alone, helped = (list(load(compared(), keys, workers)) for workers in (0, 2))
    assert [texts_of(item) for item in alone] == [texts_of(item) for item in helped]
    assert all(torch.equal(one["targets"], two["targets"]) for one, two in zip(alone, helped, strict=True))


def test_nothing_stands_beside_an_example_in_evaluation() -> None:
    item = compared()[(None, [0, 3], 2)]
    assert texts_of(item) == ["abc", "a"] and item["targets"].tolist() == [0, 1]
    assert "raws" not in item and "truths" not in item


@pytest.mark.parametrize("epoch", [None, 0])
@pytest.mark.parametrize("prepared", [True, False])
def test_the_parts_of_a_pair_are_rows_beside_each_other(epoch: int | None, prepared: bool) -> None:
    rows = Rows({"one": TEXTS[:3], "other": TEXTS[3:], "like": [0.0, 0.5, 1.0]})
    dataset = inarch.Dataset({"train": rows}, ("one", "other"), "like")
    backbone = Letters("none", 4, prepared, 5)
    item = Examples(dataset, "train", backbone, embedder(read_embedder(dataset, {"loss": "cosine"}), 4), 0, False)[
        (epoch, [2, 0], 2)
    ]
    assert texts_of(item) == ["abcde", "bb", "abc", "a"]  # cut after five letters
    assert item["targets"].tolist() == [1.0, 0.0] and item["tokens"] == (11, 20)


def test_what_predictions_are_compared_with_is_there_in_evaluation_alone() -> None:
    truths = [[{"start": 0, "end": 1, "label": "x"}], []]
    dataset = inarch.Dataset({"train": Rows({"text": TEXTS[:2], "found": truths})}, "text", "found")
    examples = Examples(dataset, "train", Letters("none", 4, True, None), tagger(read_segments(dataset), 4), 0, False)
    item = examples[(None, [1, 0], 2)]
    assert (item["raws"], item["truths"]) == (["de", "abc"], truths[::-1])
    assert "raws" not in examples[(0, [1, 0], 2)]


@pytest.mark.parametrize("epoch", [None, 7])
@pytest.mark.parametrize("prepared", [True, False])
def test_an_unreadable_text_is_left_out_or_an_error_prepared_or_not(epoch: int | None, prepared: bool) -> None:
    texts = [*TEXTS[:5], ""]
    [item] = load(compared(texts, prepared, skip=True), [(epoch, [5], 1)], 0)
    assert item["rows"] == [] and item["skipped"] == ["row 5: expected text, found ''"]
    with pytest.raises(inarch.DataError, match=r"row 5: expected text, found '' \(on_error: skip"):
        list(load(compared(texts, prepared), [(epoch, [5], 1)], 0))


@pytest.mark.parametrize("prepared", [True, False])
def test_an_unreadable_partner_is_named_by_its_own_place(prepared: bool) -> None:
    examples = compared([*TEXTS[:5], ""], prepared, skip=True)
    skipped = [place for epoch in range(20) for place in examples[(epoch, [0, 1, 2, 3, 4], 5)]["skipped"]]
    assert set(skipped) == {"row 5: expected text, found ''"}


def test_an_unreadable_example_that_was_to_be_mixed_in_is_named_by_its_own_place(examples: Examples) -> None:
    examples.rows.columns["vector"][5] = "1 2"
    examples.skip_unreadable = True
    skipped = [place for epoch in range(20) for place in examples[(epoch, [0, 1, 2], 3)]["skipped"]]
    assert set(skipped) == {"row 5: expected 4 numbers, found 2"}


@pytest.mark.parametrize("task", ["classes", "pairs", "tags"])
def test_training_over_lengths_is_the_same_to_the_bit_for_any_number_of_loader_workers(
    marked: Path, tmp_path: Path, task: str
) -> None:
    for count in (0, 2):
        inarch.train(marked, {**TASKS[task], "train.workers": count}, out=tmp_path / str(count))
    for name in ("metrics.jsonl", "model/model.safetensors", "predictions/test.jsonl"):
        assert file_hash(tmp_path / "0" / name) == file_hash(tmp_path / "2" / name), name
