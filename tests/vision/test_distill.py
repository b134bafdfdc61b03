"""A convolutional network teaches a transformer, with logits and features, from photos of two kinds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import inarch


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Sixteen small photos of two kinds."""
    random = np.random.default_rng(0)
    for kind, brightness in (("dark", 60), ("light", 180)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(8):
            pixels = (random.normal(brightness, 40, (40, 40, 3))).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{number}.png")
    return tmp_path / "photos"


def train(photos: Path, name: str, epochs: int, strategy: Any, **backbone: Any) -> Path:
    recipe = {
        "dataset": {"name": "folder", "path": str(photos)},
        "backbone": {"name": "timm", "weights": "none", "image_size": 32, "augment": {"flip": "both"}, **backbone},
        "head": "classifier",
        "strategy": strategy,
        "metrics": ["accuracy"],
        "train": {"epochs": epochs, "batch_size": 4, "learning_rate": 0.0005, "workers": 0, "precision": "fp32"},
    }
    (photos.parent / f"{name}.json").write_text(json.dumps(recipe))
    return inarch.train(photos.parent / f"{name}.json", out=photos.parent / name).directory


def test_a_student_of_another_architecture_comes_closer_to_its_teacher(photos: Path) -> None:
    teacher = train(photos, "teacher", 1, "full", model="mobilenetv3_small_050")
    strategy = {"name": "distill", "teacher": str(teacher), "logits": 1.0, "features": 0.5}
    student = train(photos, "student", 4, strategy, model="vit_tiny_patch16_224")
    losses = [json.loads(line)["train"]["loss"] for line in (student / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    assert inarch.load(student).predict([photos / "dark" / "0.png"])[0]["class"] in ("dark", "light")


def test_photos_that_are_mixed_cannot_be_asked_about(photos: Path) -> None:
    teacher = train(photos, "teacher", 1, "full", model="mobilenetv3_small_050")
    with pytest.raises(inarch.RecipeError, match="mixup or cutmix"):
        train(photos, "student", 1, {"name": "distill", "teacher": str(teacher)}, model="mobilenetv3_small_050",
              augment={"mixup": 0.2})  # fmt: skip
