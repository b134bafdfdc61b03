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


def test_files_that_are_no_images_are_counted_and_skipped(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / "photos" / name / f"{index}.png")
    (tmp_path / "photos" / "cat" / "Thumbs.db").write_bytes(b"thumbs")
    (tmp_path / "photos" / "dog" / "notes.txt").write_text("hello")
    written = init(tmp_path / "photos", "vision", None, None, tmp_path / "photos.yaml")
    found = recipe.load(written)
    assert found.on_error == "skip" and "# 2 cannot be read and are left out" in written.read_text()
    assert sum(map(len, check(found).skipped.values())) == 2


def test_data_of_another_domain_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"hello {n},{'ab'[n % 2]}\n" for n in range(20)))
    with pytest.raises(DataError, match="cannot be read"):
        init(tmp_path / "t.csv", "toy", None, None, tmp_path / "new.yaml")
    assert not (tmp_path / "new.yaml").exists()


@pytest.mark.parametrize("header", ["id,Label,File name", "text,LABEL,pic", "label,kind,photo"])
def test_a_column_that_names_files_is_the_input(header: str, tmp_path: Path) -> None:
    rows = []
    for index in range(20):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"{index}.png")
        rows.append(f"{'no' if index % 2 else 'yes'},{'ab'[index % 2]},{index}.png\n")
    (tmp_path / "T.CSV").write_text(header + "\n" + "".join(rows))
    found = recipe.load(init(tmp_path / "T.CSV", "vision", None, None, tmp_path / "new.yaml")).dataset.options
    names = header.split(",")
    assert found["input"] == names[2]
    assert found["target"] == next(name for name in names if name.lower() == "label")


def test_semicolons_between_values_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file;label\na.png;cat\n")
    with pytest.raises(DataError, match=r"dataset\.delimiter"):
        init(tmp_path / "t.csv", "toy", None, None, tmp_path / "new.yaml")


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
