"""Tables as they come: quotes, byte order marks, ragged rows; each message names the line."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from inarch.data.table import package, table
from inarch.errors import DataError, InarchError, RecipeError


def read(path: Path, content: str | bytes, **options: Any) -> Any:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return table(path=str(path), **{"input": "a", "target": "b", **options}).splits["train"]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("t.csv", "a,b\nx,1\ny,2\n", {}),
        ("t.CSV", "a,b\r\nx,1\r\ny,2\r\n", {}),
        ("bom.csv", b"\xef\xbb\xbfa,b\nx,1\ny,2", {}),
        ("t.tsv", "a\tb\nx\t1\n\ny\t2\n", {}),
        ("semicolon.csv", "a;b\nx;1\ny;2\n", {"delimiter": ";"}),
        ("spaces.csv", "x   1\ny  2  \n", {"delimiter": " ", "columns": ["a", "b"]}),
        ("t.jsonl", '{"a": "x", "b": "1"}\n\n{"b": "2", "a": "y"}\n', {}),
        ("bom.jsonl", b'\xef\xbb\xbf{"a": "x", "b": "1"}\n{"b": "2", "a": "y"}', {}),
    ],
)
def test_a_table_is_read_with_its_labels_as_they_are_written(
    name: str, content: str, options: Any, tmp_path: Path
) -> None:
    rows = read(tmp_path / name, content, **options)
    assert [rows[index] for index in range(len(rows))] == [{"a": "x", "b": "1"}, {"a": "y", "b": "2"}]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf_8", "u8"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_text_in_another_encoding_is_read_as_it_was_written(name: str, encoding: str, tmp_path: Path) -> None:
    line = {"t.csv": "a,b\nÉté,1\n", "t.tsv": "a\tb\nÉté\t1\n", "t.jsonl": '{"a": "Été", "b": "1"}\n'}[name]
    assert read(tmp_path / name, line.encode(encoding), encoding=encoding)[0] == {"a": "Été", "b": "1"}


def test_rows_below_a_minimum_or_without_a_number_are_left_out_counted_and_lines_stay_right(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,sure\nv,1,0.9\nw,1,\nx,2,0.7\ny,2,0.69\nz,1,nan\n")
    made = table(path=str(tmp_path / "t.csv"), input="a", target="b", minimum={"sure": 0.7})
    rows = made.splits["train"]
    assert rows.column("a") == ["v", "x"]
    assert rows.where(1).endswith("t.csv, line 4")
    told = "t.csv: 3 of 5 rows are left out, for 'sure' is below 0.7, or no number (2)"
    assert [note.rsplit("/", 1)[1] for note in made.notes] == [told]


def test_two_minima_hold_together_and_parquet_rows_keep_their_numbers(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": list("wxyz"), "b": [1, 2, 3, 4], "c": [4, 3, None, 1]}), tmp_path / "t.parquet")
    path = str(tmp_path / "t.parquet")
    rows = table(path=path, input="a", target="b", minimum={"b": 2, "c": 2}).splits["train"]
    assert rows.column("a") == ["x"]
    assert rows.where(0).endswith("t.parquet, row 1")
    assert table(path=path, input="a", target="b", minimum={"b": 1}).notes == ()


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": ["x"], "b": [[1.5, 2.5]]}), tmp_path / "t.parquet")
    rows = table(path=str(tmp_path / "t.parquet"), input="a", target="b").splits["train"]
    assert rows[0] == {"a": "x", "b": [1.5, 2.5]}
    assert rows.where(0).endswith("t.parquet, row 0")


def test_a_row_after_a_value_of_several_lines_has_the_right_line(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.csv", 'a,b\n"one\ntwo",1\n\ny,2\n')
    assert rows[0]["a"] == "one\ntwo"
    assert [rows.where(index).rsplit(" ", 1)[1] for index in range(2)] == ["2", "5"]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("t.csv", "a,b\nx,1\n\ny,2,3\n", {}, "t.csv, line 4: 3 values for 2 columns"),
        ("t.csv", 'a,b\nx,1\n"y,2\n', {}, "t.csv, line 3: unexpected end"),
        ("t.csv", "a,b,a\nx,1,z\n", {}, "two columns are called 'a'"),
        ("t.csv", b"a,b\nx,\xff\n", {}, "t.csv, line 2: not UTF-8 text, at byte 6; save it as UTF-8, or say"),
        ("t.csv", b"a,b\n" + b"x,1\n" * 9999 + b"\xff", {}, "line 10001: not UTF-8 text, at byte 40000;"),
        ("t.jsonl", b'{"a": "\xe9"}\n', {}, "line 1: not UTF-8 text, at byte 7"),
        (
            "t.tsv",
            "a\tb\né\t1\n".encode("utf-16"),
            {},
            "at byte 0; save it as UTF-8, or say its encoding, for example utf-16",
        ),
        ("t.csv", "a,b\né,1\n", {"encoding": "ascii"}, "not ASCII text, at byte 4"),
        ("t.csv", "a,b\nx,1\n", {"encoding": "utf-16"}, "not UTF-16 text"),
        ("t.csv", "a,b\nx,1\n", {"encoding": "latn-1"}, "unknown encoding 'latn-1'. Did you mean 'latin-1'?"),
        ("t.csv", "a,b\nx,1\n", {"encoding": "rot13"}, "unknown encoding 'rot13'"),
        ("t.csv", "a,b\nx,1\n", {"minimum": {"c": 1.0}}, "unknown column 'c'"),
        ("t.csv", "a,b\nx,1\nx,y\n", {"minimum": {"b": 1.5}}, "no row has 1.5 or more in the column 'b'"),
        ("t.csv", "a,b\n", {}, "no rows"),
        ("t.txt", "a,b\n", {}, "not a table"),
        ("t.jsonl", '{"a": 1, "b": 2}\n{"a": \n', {}, "t.jsonl, line 2: not JSON"),
        ("t.jsonl", "[1]\n", {}, "t.jsonl, line 1: expected an object"),
        ("t.parquet", "nothing", {}, "t.parquet: "),
        ("t.csv", "a,b\nx,1\n", {"delimiter": ";;"}, "dataset.delimiter"),
        ("t.csv", "a,b\nx,1\n", {"delimiter": '"'}, "dataset.delimiter"),
        ("t.csv", "a,b\nx,1\n", {"group": "c"}, "unknown column 'c'"),
        ("t.csv", "a,b\nx,1\n", {"split": "a"}, "line 2: unknown split 'x'"),
        ("t.csv", "a,b\ntest,1\n", {"split": "a"}, "no row of the column 'a' says train"),
    ],
)
def test_a_mistake_is_told_with_its_place(name: str, content: str, options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InarchError, match=re.escape(message)):
        read(tmp_path / name, content, **options)


def test_file_names_are_relative_to_the_table_and_a_missing_one_is_told_with_its_line(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).touch()
    rows = read(tmp_path / "t.csv", "a,b\none.png,one.png\ntwo.png,cat\n")
    assert rows.column("a") == [str(tmp_path / "one.png"), str(tmp_path / "two.png")]
    assert rows.column("b") == ["one.png", "cat"]  # a target is never a file
    with pytest.raises(DataError, match=r"line 3: there is no file 'three\.png'"):
        read(tmp_path / "t.csv", "a,b\none.png,x\nthree.png,y\n")


def test_a_text_too_long_for_the_name_of_a_file_is_a_text(tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", f"a,b\n{'x' * 300},1\n").column("a") == ["x" * 300]


def test_the_raw_input_of_a_column_of_file_names_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "one.png").touch()
    (tmp_path / "t.csv").write_text("a,b,c\none.png,x,hello\n")
    one, both = (table(path=str(tmp_path / "t.csv"), input=names, target="b") for names in ("a", ["a", "c"]))
    row = one.splits["train"][0]
    assert one.raw(row) == tmp_path / "one.png"
    assert list(both.raw(row).items()) == [("a", tmp_path / "one.png"), ("c", "hello")]


def test_whether_a_column_holds_files_is_decided_by_train_for_every_split(tmp_path: Path) -> None:
    (tmp_path / "one.png").touch()
    for name, rows in (("train", "one.png,x\n"), ("test", "a text,x\n")):
        (tmp_path / f"{name}.csv").write_text("a,b\n" + rows)
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("train", "test")}
    with pytest.raises(DataError, match=r"test\.csv, line 2: there is no file 'a text'"):
        table(path=paths, input="a", target="b")


def test_a_column_says_the_split(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,s\nx,1,train\ny,2,val\nz,3,testing\n")
    made = table(path=str(tmp_path / "t.csv"), input="a", target="b", split="s")
    assert {name: rows.column("a") for name, rows in made.splits.items()} == {
        "train": ["x"],
        "valid": ["y"],
        "test": ["z"],
    }


def test_a_split_column_beside_a_file_for_each_split_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,s\nx,1,train\n")
    paths = {"train": str(tmp_path / "t.csv"), "test": str(tmp_path / "t.csv")}
    with pytest.raises(RecipeError, match="not both"):
        table(path=paths, input="a", target="b", split="s")
    with pytest.raises(RecipeError, match=r"unknown split 'tset'. Did you mean 'test'"):
        table(path={"train": "t.csv", "tset": "t.csv"}, input="a", target="b")


def test_a_package_holds_tables_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pack-1.0.dist-info").mkdir()
    (tmp_path / "pack-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pack\nVersion: 1.0\n")
    for name in ("photos/cat/1.png", "photos/dog/1.png"):
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).touch()
    (tmp_path / "pack" / "t.csv").write_text("a,b\nx,1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert package(distribution="pack", path="pack/photos").splits["train"].column("class") == ["cat", "dog"]
    assert package(distribution="pack", path="pack/t.csv", input="a", target="b").splits["train"][0] == {
        "a": "x",
        "b": "1",
    }
    for option, value in {"group": "g", "encoding": "latin-1", "minimum": {"a": 1.0}}.items():
        with pytest.raises(RecipeError, match=f"is a folder, which has no '{option}'"):
            package(distribution="pack", path="pack/photos", **{option: value})
    with pytest.raises(DataError, match="no row has 1 or more in the column 'a'"):
        package(distribution="pack", path="pack/t.csv", input="a", target="b", minimum={"a": 1.0})
    with pytest.raises(DataError, match="expected package:DISTRIBUTION/FILE"):
        package(distribution="pack", path="../other")
    with pytest.raises(DataError, match="expected package:DISTRIBUTION/FILE"):
        package(distribution="pack", path="/etc/passwd")
