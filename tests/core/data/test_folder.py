"""Folders as people arrange them."""

import os
from pathlib import Path

import pytest

from inarch.data.folder import folder
from inarch.errors import DataError, RecipeError


def make(root: Path, *files: str) -> str:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return str(root)


def found(dataset: object, split: str = "train") -> dict[str, str]:
    rows = dataset.splits[split]
    return {Path(row["file"]).name: row["class"] for row in (rows[index] for index in range(len(rows)))}


def test_the_raw_input_is_a_path(tmp_path: Path) -> None:
    made = folder(path=make(tmp_path, "cat/1.jpg"))
    assert made.raw(made.splits["train"][0]) == tmp_path / "cat" / "1.jpg"


def test_a_folder_is_a_class_and_files_in_it_are_found_however_deep(tmp_path: Path) -> None:
    path = make(tmp_path, "cat/1.jpg", "cat/deep/2.jpg", "dog/3.jpg", ".git/4.jpg", "cat/.hidden", "cat/.dir/5.jpg")
    assert found(folder(path=path)) == {"1.jpg": "cat", "2.jpg": "cat", "3.jpg": "dog"}


@pytest.mark.parametrize("names", ["train valid test", "training val testing", "Train dev TEST"])
def test_folders_that_are_splits_are_known_by_their_usual_names(names: str, tmp_path: Path) -> None:
    made = folder(path=make(tmp_path, *(f"{name}/{kind}/{name}.jpg" for name in names.split() for kind in "ab")))
    assert [list(found(made, split)) for split in ("train", "valid", "test")] == [
        [f"{name}.jpg"] for name in names.split()
    ]


def test_a_folder_beside_the_splits_is_not_used_and_said(tmp_path: Path) -> None:
    made = folder(path=make(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "tset/a/3.jpg"))
    assert list(made.splits) == ["train"]
    assert "not used: tset" in made.origin


def test_a_pattern_chooses_files(tmp_path: Path) -> None:
    path = make(tmp_path, "a/1.jpg", "a/notes.txt", "b/2.jpg")
    assert found(folder(path=path, pattern="*.jpg")) == {"1.jpg": "a", "2.jpg": "b"}
    with pytest.raises(RecipeError, match="pattern"):
        folder(path=path, pattern="")


def test_classes_are_ordered_and_merged_as_the_recipe_says(tmp_path: Path) -> None:
    made = folder(path=make(tmp_path, "cat/1", "dog/2", "wolf/3"), classes={"canine": ["dog", "wolf"], "cat": ["cat"]})
    assert made.classes == {"canine": ["dog", "wolf"], "cat": ["cat"]}


def test_the_order_of_files_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    path = make(tmp_path, *(f"a/{name}" for name in "zyxbca"), "b/1")
    assert list(found(folder(path=path))) == [*"abcxyz", "1"]


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "labels.csv")
    with pytest.raises(DataError, match=r"labels\.csv: a file; .*'table'"):
        folder(path=str(tmp_path / "labels.csv"))


def test_a_file_name_that_is_not_utf8_is_an_error_that_names_it(tmp_path: Path) -> None:
    make(tmp_path, "a/1", "b/2")
    with open(os.fsencode(tmp_path / "a") + b"/\xff.jpg", "wb"):  # noqa: PTH123  (a path cannot be bytes)
        pass
    with pytest.raises(DataError, match=r"udcff\.jpg.*not UTF-8; rename it"):
        folder(path=str(tmp_path))


def test_names_of_files_make_columns(tmp_path: Path) -> None:
    path = make(tmp_path, "rain/1-17-A.ogg", "rain/2-17-B.ogg", "dog/1-9-A.ogg")
    made = folder(path=path, names="{fold}-{source}-{take}", group="source")
    assert made.group == "source" and made.target == "class"
    assert made.splits["train"].column("fold") == ["1", "1", "2"]
    assert made.splits["train"].column("class") == ["dog", "rain", "rain"]


def test_a_class_in_the_names_needs_no_folders(tmp_path: Path) -> None:
    path = make(tmp_path, "7_theo_0.wav", "deep/3_ann_b_1.wav", "README.txt")
    made = folder(path=path, pattern="*.wav", names="{class}_{speaker}_{take}", target="speaker")
    assert found(made) == {"7_theo_0.wav": "7", "3_ann_b_1.wav": "3"}
    assert made.splits["train"].column("take") == ["0", "b_1"] and made.target == "speaker"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": "{class}_{speaker}"}, r"1\.jpg: the name is not of the form of dataset.names, '\{class\}_\{speak"),
        ({"names": "class"}, r"dataset.names: expected names of columns in braces"),
        ({"names": "{a}_{a}"}, r"dataset.names: expected names of columns in braces, each once"),
        ({"names": "{file}"}, r"none of them 'file'"),
        ({"names": "{a"}, r"dataset.names: '\{a': "),
        ({"names": "{take}", "group": "tak"}, r"dataset.group: .*'tak'.*Did you mean 'take'"),
        ({"target": "speaker"}, r"dataset.target: .*'speaker'.*class.*`names` makes columns"),
    ],
)
def test_names_that_say_nothing_are_told(options: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises((DataError, RecipeError), match=said):
        folder(path=make(tmp_path, "cat/1.jpg", "dog/2.jpg"), **options)


def test_a_target_in_the_names_needs_no_folders_either(tmp_path: Path) -> None:
    made = folder(path=make(tmp_path, "7_theo_0.wav"), names="{digit}_{speaker}_{take}", target="speaker")
    assert made.splits["train"].column("speaker") == ["theo"] and "class" not in made.splits["train"].columns
