"""A run on photos as the source model of another."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import inarch
from inarch.training.progress import Progress


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Small photos of two kinds."""
    random = np.random.default_rng(0)
    for kind, brightness in (("dark", 60), ("light", 180)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(6):
            pixels = (random.normal(brightness, 40, (40, 40, 3))).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{number}.png")
    return tmp_path / "photos"


def train(photos: Path, out: str, library: str, model: str, told: Told | None = None, **options: Any) -> Path:
    train = {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, "workers": 0, "precision": "fp32"}
    strategy = "full" if options.get("weights", "none") == "none" else "linear_probe"
    backbone = {"name": library, "model": model, "weights": "none", "image_size": 32, **options}
    whole = {"dataset": {"name": "folder", "path": str(photos)}, "backbone": backbone, "head": "classifier",
             "strategy": strategy, "metrics": ["accuracy"], "train": train}  # fmt: skip
    path = photos.parent / "recipe.json"
    path.write_text(json.dumps(whole))
    return inarch.train(path, out=photos.parent / out, progress=told).directory


def backbone_of(run: Path) -> dict[str, torch.Tensor]:
    state = load_file(run / "model" / "model.safetensors")
    return {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}


@pytest.mark.parametrize("library, model", [("timm", "mobilenetv3_small_050"), ("torchvision", "resnet18")])
def test_a_run_on_photos_lends_its_backbone_to_the_bit(photos: Path, library: str, model: str) -> None:
    source, told = train(photos, "source", library, model), Told()
    run = train(photos, "run", library, model, told, weights=str(source), image_size=48)
    own, theirs = backbone_of(run), backbone_of(source)
    assert own.keys() == theirs.keys() and any("running_mean" in name for name in own)
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    assert "the source model had other options: image_size 32 there, 48 here" in told.lines


def test_embeddings_of_positions_of_another_image_size_are_told_by_that_option(photos: Path) -> None:
    source = train(photos, "source", "timm", "vit_tiny_patch16_224")
    with pytest.raises(inarch.WeightsError, match=r"shape: model.pos_embed. .* image_size 32 there, 64 here"):
        train(photos, "run", "timm", "vit_tiny_patch16_224", weights=str(source), image_size=64)


def test_another_model_is_refused_by_both_names(photos: Path) -> None:
    source = train(photos, "source", "timm", "mobilenetv3_small_050")
    found = "'timm' with model mobilenetv3_small_050, the recipe names 'timm' with model mobilenetv3_small_075"
    with pytest.raises(inarch.WeightsError, match=found):
        train(photos, "run", "timm", "mobilenetv3_small_075", weights=str(source))
