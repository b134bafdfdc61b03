"""Safe by default: recipes, tables, pictures and sounds made to harm. Nothing runs, hangs, or is lost."""

import os
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from attempts.case import Case
from attempts.case_fuzz import fuzz_recipes
from attempts.case_limits import counted, read, tried
from attempts.case_small_runs import trained
from attempts.hostile import SAFE
from conftest import RECIPE

import inarch
from inarch import plugins, recipe
from inarch.data.folder import folder as folder_data
from inarch.data.table import table
from inarch.workflows.predict import predict


def cases(full: bool) -> list[Case]:
    """Return the attempts; in the suite a few hundred of the 6,000 mutated recipes, and small files."""
    found = [
        Case(SAFE, "tables and folders that lead elsewhere", leading_elsewhere),
        Case(SAFE, "recipes that should not be read", recipes),
        Case(SAFE, "recipes, mutated", partial(_fuzzed, 6000 if full else 200)),
        Case(SAFE, "data that claims or holds too much", partial(too_much, 100 if full else 8)),
    ]
    return [*found, Case(SAFE, "pictures and sounds that claim too much", _media)] if full else found


def leading_elsewhere(folder: Path) -> int:
    home = folder / "home"
    home.mkdir()
    for place in (folder / "secret.txt", home / "own.txt"):
        place.write_text("x")
    rows = {"../secret.txt": "Write the whole path", "a/../../secret.txt": "Write the whole path", "own.txt": "",
            "./a/../own.txt": "", str(folder / "secret.txt"): ""}  # fmt: skip
    (home / "a").mkdir()
    for name, expected in rows.items():
        (home / "t.csv").write_text(f"file,class\nown.txt,x\n{name},y\n")
        told = tried(partial(table, path=str(home / "t.csv"), input="file", target="class"))
        assert expected in told and bool(told) == bool(expected), told
    for name in ("x.zip", "x.tar.gz", "x.7z"):
        (folder / name).write_bytes(b"PK")
        assert "Archives are not opened" in tried(partial(table, path=str(folder / name), input="a", target="b"))
        assert "wants a folder" in tried(partial(folder_data, path=str(folder / name)))
    os.mkfifo(folder / "pipe.csv")
    assert "not a table" in tried(partial(table, path=str(folder / "pipe.csv"), input="a", target="b"))
    assert "expected package:" in tried(partial(inarch.read_state, "package:numpy/../../../etc/passwd"))
    knot = folder / "knot"
    for one in range(12):  # 12! ways through them
        (knot / str(one)).mkdir(parents=True)
        (knot / str(one) / "own.txt").write_text("1 2 3 4")
        for other in range(12):
            (knot / str(one) / f"to{other}").symlink_to(knot / str(other))
    (knot / "itself").symlink_to("itself")
    assert len(list(folder_data(path=str(knot)).splits["train"].column("file"))) == 12
    run = trained(folder)
    assert tried(lambda: len(list(predict(run, [str(knot)]))) == 13 or 1 / 0) == ""
    return len(rows) + 11


def recipes(folder: Path) -> int:
    valid = RECIPE.format(path="x.csv")
    texts = {
        "a tag": ("a: !!python/object/apply:os.mkdir [trace]", "not allowed"),
        "a tag by another name": ("%TAG ! tag:yaml.org,2002:\n---\na: !python/name:os.system", "not allowed"),
        "billion laughs": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "anchors and aliases"),
        "levels": ("a: " + "[" * 100_000, "nested more than 50 levels"),
        "levels of blocks": ("".join(" " * level + "a:\n" for level in range(900)), "nested more than 50 levels"),
        "closed levels": ("a: " + "{a: " * 100_000 + "}" * 100_000, "nested more than 50 levels"),
        "values": ("a: [" + "1," * 490_000 + "]", "more than 100,000 values"),
        "metrics": (
            valid.replace("[accuracy]", "[" + ",".join(f"m{n}" for n in range(40_000)) + "]"),
            "unknown metric",
        ),
        "10 MB": ("#" * 10_000_000, "larger than 1,000,000 bytes"),
        "a steered terminal": ('"\\e]0;mine\\a\\e[2J": 1', "unknown key '\\x1b]0;mine\\x07\\x1b[2J'"),
        "two lines": ('"a\\nError: b": 1', "unknown key 'a\\nError: b'"),
        "a long key": (f'? "{"x" * 900_000}"\n: 1', "characters]"),
        "binary": ("\x7fELF\0", "not text"),
    }
    for name, (text, expected) in texts.items():
        (folder / "r.yaml").write_text(text, encoding="utf-8")
        told = tried(lambda: plugins.check(recipe.load(folder / "r.yaml")))
        assert expected in told and len(told) < 5000, (name, told[:200])
    os.mkfifo(folder / "pipe")
    (folder / "bytes").write_bytes(bytes(range(128, 256)))
    for path, expected in {"/dev/zero": "found a device", folder: "found a folder", folder / "pipe": "found a pipe",
                           folder / "bytes": "not UTF-8", folder / "none": "no such file"}.items():  # fmt: skip
        assert expected in tried(partial(recipe.load, path))
    (folder / "r.yaml").write_text(valid)
    for override in ("a." * 60_000 + "a=1", "train=" + "[" * 50_000, "train.epochs=!!python/name:os.system x"):
        assert tried(partial(recipe.load, folder / "r.yaml", [override]))
    assert not Path("trace").exists()
    return len(texts) + 8


def too_much(megabytes: int, folder: Path) -> int:
    count = 0
    size = megabytes * 1_000_000
    texts = {"cell.csv": f"text,class\n{'x' * size},a\n", "open.csv": f'text,class\n"{"x" * size}',
             "zero.csv": "text,class\na\0b,\0\n", "columns.csv": ",".join(map(str, range(100_000))) + "\n",
             "deep.jsonl": "[" * 100_000, "deep.jsonl ": '{"text": ' + "[" * 100_000,
             "wide.jsonl": '{"text": "' + "x" * size + '"}'}  # fmt: skip
    for name, text in texts.items():
        (folder / name.strip()).write_text(text, encoding="utf-8")
        told = tried(partial(table, path=str(folder / name.strip()), input="text", target="class"))
        assert name in ("cell.csv", "zero.csv") or name.strip() in told, (name, told[:300])
        assert len(told) < 5000
        count += 1
    pa.parquet.write_table(pa.table({"text": ["a"] * 50, "class": ["b"] * 50}), folder / "t.parquet")
    whole = (folder / "t.parquet").read_bytes()
    for at in range(0, len(whole), len(whole) // (60 if megabytes > 10 else 12)):
        for change in (b"\xff\xff\xff\x7f", b"\0"):
            (folder / "t.parquet").write_bytes(whole[:at] + change + whole[at + len(change) :])
            tried(partial(table, path=str(folder / "t.parquet"), input="text", target="class"))
            count += 1
    return count


def _media(folder: Path) -> int:
    from attempts.case_media import pictures, sounds

    return pictures(folder, read) + sounds(folder, read)


def _fuzzed(count: int, folder: Path) -> int:
    return counted(lambda: fuzz_recipes(folder, count), folder)
