"""`inarch init`: what it writes passes `check` and trains; nothing is replaced."""

import json
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


def guessed(tmp_path: Path, name: str, content: str | bytes, **options: str) -> recipe.Recipe:
    """Return the recipe for a table, which has passed the check."""
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return recipe.load(init(tmp_path / name, "text", None, None, tmp_path / "new.yaml", **options))


def test_the_longest_texts_are_the_input_and_the_fewest_values_the_target(tmp_path: Path) -> None:
    rows = "".join(f"{'good' if n % 2 else 'bad'},{n / 50},tweet,it was a long evening {n}\n" for n in range(40))
    found = guessed(tmp_path, "reviews.csv", "verdict,sure,source,Review\n" + rows)
    assert (found.dataset.options["input"], found.dataset.options["target"]) == ("Review", "verdict")
    assert found.head.name == "classifier" and found.head.options == {"class_weights": "balanced"}


@pytest.mark.parametrize(
    ("tags", "scheme", "metrics"),
    [
        (["B-x", "O"], "bio", ["entity_f1", "token_accuracy"]),
        (["S-x", "O"], "bio", ["entity_f1", "token_accuracy"]),
        (["DET", "NOUN"], "units", ["token_accuracy"]),
    ],
)
def test_lists_of_words_and_as_many_tags_are_for_the_tagger(
    tags: list[str], scheme: str, metrics: list[str], tmp_path: Path
) -> None:
    rows = [{"id": str(n), "tokens": ["the", "house"], "other": ["a", "b"], "ner_tags": tags} for n in range(20)]
    found = guessed(tmp_path, "tagged.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert (found.dataset.options["input"], found.dataset.options["target"]) == ("tokens", "ner_tags")
    assert (found.head.name, found.head.options) == ("tagger", {"scheme": scheme})
    assert [metric.name for metric in found.metrics] == metrics


@pytest.mark.parametrize(
    ("target", "head"),
    [
        ([{"start": 0, "end": 3, "label": "x"}], "tagger"),
        (["news", "sport"], "multilabel"),
    ],
)
def test_other_lists_are_segments_or_labels(target: list[object], head: str, tmp_path: Path) -> None:
    rows = [{"text": f"the house {n}", "y": target if n % 2 else []} for n in range(20)]
    found = guessed(tmp_path, "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert found.head.name == head


def test_a_row_with_a_tag_too_few_is_told_with_its_line(tmp_path: Path) -> None:
    rows = [{"words": ["a", "b"], "tags": ["B-x", "O"][: 1 if n == 3 else 2]} for n in range(20)]
    with pytest.raises(DataError, match=r"t\.jsonl, line 4: 1 tags for 2"):
        guessed(tmp_path, "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def test_an_encoding_is_never_guessed_but_taken_when_it_is_said(tmp_path: Path) -> None:
    rows = "text,label\n" + "".join(f"caf\xe9 {n},{'ab'[n % 2]}\n" for n in range(20))
    with pytest.raises(DataError, match=r"line 2: not UTF-8 text, at byte 14; .* its encoding, for example latin-1"):
        guessed(tmp_path, "t.csv", rows.encode("latin-1"))
    assert not (tmp_path / "new.yaml").exists()
    found = guessed(tmp_path, "t.csv", rows.encode("latin-1"), encoding="latin-1")
    assert found.dataset.options["encoding"] == "latin-1"
    assert check(found).dataset.splits["train"][0]["text"].startswith("caf\xe9 ")


def test_a_folder_of_texts_passes_the_check(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / "texts" / name).mkdir(parents=True)
        for index in range(8):
            (tmp_path / "texts" / name / f"{index}.txt").write_text(f"a {name} film {index}", encoding="utf-8")
    written = init(tmp_path / "texts", "text", None, None, tmp_path / "new.yaml")
    assert check(recipe.load(written)).targets.classes == ("bad", "good")


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
