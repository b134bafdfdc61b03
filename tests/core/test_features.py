"""Frozen features, computed once: equal to what the backbone answers, by the content of the raw inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from inarch_toy.backbone import Vectors
from inarch_toy.spelling import Letters

from inarch.builtin.head_modules import Classifier
from inarch.data.loaders import Examples
from inarch.feature_store import Store
from inarch.features import extract
from inarch.interfaces.backbone import Backbone
from inarch.interfaces.dataset import Dataset, Rows, Targets

TEXTS = ["abc", "d" * 30, "hello there", "e", "the longest of them all and then some more", "ff"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def examples_of(raws: list[str], backbone: Backbone, *, skip: bool = False, split: str = "train") -> Examples:
    targets = Targets("classes", ("a", "b"), {"train": [6, 6]}, {"values": {"a": 0, "b": 1}})
    rows = Rows({"text": raws, "class": ["ab"[index % 2] for index in range(len(raws))]})
    head = Classifier(targets, backbone.num_features, 0.0, "none", None, 0.0, "pooled")
    return Examples(Dataset({"train": rows, "test": rows}, "text", "class"), split, backbone, head, 0, skip)


def vectors(noise: float = 0.3) -> Vectors:
    torch.manual_seed(0)
    return Vectors("none", 4, 8, 2, 0.5, True, noise, True, 0)


NUMBERS = [f"{index} 0 1 {index % 3}" for index in range(12)]


def letters(**options: object) -> Letters:
    torch.manual_seed(0)
    return Letters("none", 8, **{"prepared": False, "longest": None, **options})  # type: ignore[arg-type]


def test_features_are_what_the_backbone_answers_in_evaluation(store: Store) -> None:
    backbone = vectors().train()
    found = extract(examples_of(NUMBERS, backbone), backbone, Accelerator(cpu=True), 5, store=store)
    assert backbone.training
    inputs = torch.tensor([[float(number) for number in raw.split()] for raw in NUMBERS])
    expected = backbone.eval()(inputs).pooled
    assert np.abs(found.values - expected.detach().numpy()).max() < 1e-6
    assert (found.rows, found.skipped, found.computed) == (list(range(12)), [], 12)


def test_features_that_are_stored_are_not_computed_again(store: Store) -> None:
    backbone = vectors()
    first, again = (
        extract(examples_of(NUMBERS, backbone), backbone, Accelerator(cpu=True), 5, store=store) for _ in range(2)
    )
    assert (first.computed, again.computed) == (12, 0)
    assert np.array_equal(first.values, again.values)
    assert again.rows == first.rows


def test_an_input_with_windows_counts_by_the_mean_of_theirs(store: Store) -> None:
    backbone = letters(window=8)
    found = extract(examples_of(TEXTS, backbone), backbone, Accelerator(cpu=True), 3, store=store)
    read = backbone.transform(False)
    for raw, values in zip(TEXTS, found.values, strict=True):
        batch = backbone.collate([read(window) for window in backbone.windows(raw) or [raw]])
        assert values == pytest.approx(backbone(**batch).pooled.mean(0).tolist(), abs=1e-6)
