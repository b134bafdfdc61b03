"""Promise 6: sample order and augmentation are functions of (seed, epoch, index)."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from inarch_toy.backbone import Vectors

import inarch
from inarch.builtin.head_modules import Classifier
from inarch.checkpoint import file_hash
from inarch.data.loaders import Examples, load, seeded, worker_count
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
