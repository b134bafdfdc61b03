"""The library `datasets` with local files; no network."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import write_vectors
from PIL import Image

import inarch
from inarch.builtin.segment_targets import read_segments
from inarch.data.hub import hub
from inarch.errors import DataError, RecipeError
from inarch.interfaces.dataset import Rows, Stream

pytestmark = [  # `datasets` leaves files open until the garbage collector finds them
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    yield
    gc.collect()  # here, where the warning is expected, and not in another test


def files(tmp_path: Path) -> dict[str, str]:
    return {name: str(write_vectors(tmp_path / f"{name}.csv", rows)) for name, rows in (("train", 40), ("test", 20))}


@pytest.mark.parametrize("streaming", [False, True])
def test_a_csv_file_trains(streaming: bool, tmp_path: Path, toy_recipe: Path) -> None:
    source: dict[str, Any] = {
        "name": "hub",
        "path": "csv",
        "data_files": files(tmp_path),
        "input": "vector",
        "target": "class",
    }
    source |= (
        {"streaming": True, "examples": {"train": 40, "test": 20}, "classes": ["cold", "warm"]} if streaming else {}
    )
    result = inarch.train(toy_recipe, {"dataset": source, "train.epochs": 1}, out=tmp_path / "run")
    assert result.split == "test"
    assert 0 <= result.metrics["accuracy"].value <= 1


@pytest.mark.parametrize("streaming", [False, True])
def test_a_column_that_is_not_there_is_told_with_the_nearest(streaming: bool, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown column 'vectr'. Did you mean 'vector'"):
        hub(path="csv", data_files=files(tmp_path), input="vectr", target="class", streaming=streaming, examples=40)


def test_json_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": "x", "b": 1}\n{"a": "y", "b": 0}\n')
    made = hub(path="json", data_files={"train": str(tmp_path / "t.jsonl")}, input="a", target="b")
    assert made.splits["train"][0] == {"a": "x", "b": 1}


def test_class_names_are_the_data_sets_own_and_images_stay_undecoded(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / name / "1.png")
    made = hub(path="imagefolder", data_files=str(tmp_path / "photos" / "**"), input="image", target="label")
    assert made.classes == {"cat": ["0"], "dog": ["1"]}
    assert set(made.splits["train"][0]["image"]) == {"bytes", "path"}


@pytest.mark.parametrize("streaming", [False, True])
def test_class_names_of_lists_are_those_of_their_items_and_inputs_may_be_lists(streaming: bool, tmp_path: Path) -> None:
    import datasets

    tags = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    features = {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(tags)}
    rows = {"tokens": [["Marie", "Curie"], ["here"]], "ner_tags": [[1, 2], [0]]}
    datasets.Dataset.from_dict(rows, datasets.Features(features)).to_parquet(tmp_path / "t.parquet")
    made = hub(
        path="parquet",
        data_files={"train": str(tmp_path / "t.parquet")},
        input="tokens",
        target="ner_tags",
        streaming=streaming,
        examples=2,
    )
    assert made.classes == {"O": ["0"], "B-PER": ["1"], "I-PER": ["2"]}
    train = made.splits["train"]
    row = next(train.read(None, 0)) if isinstance(train, Stream) else train[0]
    assert (made.raw(row), row["ner_tags"]) == (["Marie", "Curie"], [1, 2])
    if isinstance(train, Rows):
        assert train.select([1, 0]).column("ner_tags") == [[0], [1, 2]]


def test_a_stream_of_unknown_length_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="examples"):
        hub(path="csv", data_files=files(tmp_path), input="vector", target="class", streaming=True)


def test_a_split_that_is_not_there_is_told(tmp_path: Path) -> None:
    options = {"path": "csv", "data_files": files(tmp_path), "input": "vector", "target": "class"}
    with pytest.raises(DataError, match=r"unknown split 'tran'. Did you mean 'train'"):
        hub(**options, splits={"train": "tran"})
    with pytest.raises(RecipeError, match="unknown split 'dev'"):
        hub(**options, splits={"train": "train", "dev": "test"})


def test_a_data_set_that_cannot_be_opened_says_what_else_works(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"could not be opened.*'folder', 'table' or 'package'"):
        hub(path=str(tmp_path / "nowhere"), input="a", target="b")


def test_tags_have_the_names_of_their_numbers(tmp_path: Path) -> None:
    import datasets

    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER", "I-PER"]))
    features = datasets.Features({"words": datasets.List(datasets.Value("string")), "tags": tags})
    made = datasets.Dataset.from_dict({"words": [["Ada", "Lovelace"], ["no"]], "tags": [[1, 2], [0]]}, features)
    made.to_parquet(tmp_path / "t.parquet")
    opened = hub(path="parquet", data_files={"train": str(tmp_path / "t.parquet")}, input="words", target="tags")
    targets = read_segments(opened)
    assert targets.classes == ("PER",) and targets.counts == {"train": [1]}
