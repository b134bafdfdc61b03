"""Every recipe that is shipped: checked in full, and trained for two steps on stand-in data."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inarch
from inarch import plugins, recipe

ROOT = Path(__file__).parent.parent / "recipes"
RECIPES = sorted(ROOT.rglob("*.yaml"))


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 2


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_names_components_and_options_that_exist(path: Path) -> None:
    plugins.check(recipe.load(path))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_says_how_to_run_it(path: Path) -> None:
    header = path.read_text(encoding="utf-8").split("\nname:", 1)[0]
    assert header.startswith("# ")
    assert f"inarch train recipes/{path.relative_to(ROOT)}" in header


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_trains_two_steps_on_stand_in_data(path: Path, tmp_path: Path) -> None:
    classes = ["intact", "defective"]
    stand_in = _photos(tmp_path / "photos", classes)
    overrides = {
        "dataset": {"name": "folder", "path": str(stand_in), "classes": classes},
        "splits": {"valid": 0.1, "test": 0.1},
        "backbone.weights": "none",
        "backbone.image_size": 64,
        "train.epochs": 1,
        "train.batch_size": 8,
        "train.workers": 0,
    }
    result = inarch.train(path, overrides, out=tmp_path / "run")
    assert result.parity < 1e-4
    assert "accuracy" in result.metrics
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def _photos(root: Path, classes: list[str]) -> Path:
    random = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(10):
            pixels = random.integers(0, 256, (72, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root
