"""`inarch init`: what it writes passes `check` and trains; nothing is replaced."""

from pathlib import Path

import numpy as np
import pytest
from conftest import write_vectors
from PIL import Image

import inarch
from inarch import recipe
from inarch.errors import DataError, PluginError, RunError
from inarch.workflows.check import check
from inarch.workflows.init import init


@pytest.mark.parametrize(("target", "head"), [("class", "classifier"), ("number", "regressor")])
def test_the_recipe_for_a_table_trains_as_it_is(target: str, head: str, tmp_path: Path) -> None:
    table = write_vectors(tmp_path / "My data.csv")
    written = init(table, "toy", "vector", target, tmp_path / "new.yaml")
    assert recipe.load(written).head.name == head
    result = inarch.train(written, {"train.epochs": 1, "train.workers": 0}, out=tmp_path / "run")
    assert (tmp_path / "run" / "model").is_dir() and len(result.metrics) == 3


def test_the_recipe_for_a_folder_of_photos_passes_the_check(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(8):
            pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    written = init(tmp_path / "photos", "vision", None, None, tmp_path / "photos.yaml")
    checked = check(recipe.load(written))
    assert checked.targets.classes == ("cat", "dog")
    assert "# train: 12 examples (cat 6, dog 6)" in written.read_text()


def test_the_columns_are_guessed_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,label,text\n" + "".join(f"{n},{'ab'[n % 2]},1 2 3 4\n" for n in range(20)))
    found = recipe.load(init(tmp_path / "t.csv", "toy", None, None, tmp_path / "new.yaml")).dataset.options
    assert (found["input"], found["target"]) == ("text", "label")


def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    table = write_vectors(tmp_path / "vectors.csv")
    (tmp_path / "new.yaml").write_text("mine")
    with pytest.raises(RunError, match=r"new\.yaml exists"):
        init(table, "toy", "vector", "class", tmp_path / "new.yaml")
    assert (tmp_path / "new.yaml").read_text() == "mine"


def test_mistakes_are_told_and_nothing_is_written(tmp_path: Path) -> None:
    table = write_vectors(tmp_path / "vectors.csv")
    out = tmp_path / "new.yaml"
    with pytest.raises(PluginError, match=r"unknown domain 'tyo'\. Did you mean 'toy'"):
        init(table, "tyo", None, None, out)
    with pytest.raises(DataError, match="no such file or folder"):
        init(tmp_path / "nowhere", "toy", None, None, out)
    with pytest.raises(DataError, match=r"unknown column 'clas'\. Did you mean 'class'"):
        init(table, "toy", "vector", "clas", out)
    with pytest.raises(DataError, match="no class folders"):
        init(_empty(tmp_path / "empty"), "toy", None, None, out)
    assert not out.exists()


def _empty(path: Path) -> Path:
    path.mkdir()
    return path
