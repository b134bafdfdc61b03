"""Column files as they come from shared tasks; each message names file and line."""

import re
from pathlib import Path
from typing import Any

import pytest

from inarch.errors import DataError, InarchError, RecipeError
from inarch_text.columns import conll

CONLL_2003 = """\
-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""
CONLL_U = """\
# sent_id = 1
# text = Vámonos al mar y ya está bien así hoy
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tal\tal\tADP\t_\t_\t_\t_\t_\t_
3\tNew York\tYork\tPROPN\t_\t_\t1\tobl\t_\t_
"""


def read(path: Path, content: str | bytes, **options: Any) -> list[dict[str, Any]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    rows = conll(path=str(path), **options).splits["train"]
    return [rows[index] for index in range(len(rows))]


def test_sentences_are_lists_of_words_and_of_tags(tmp_path: Path) -> None:
    assert read(tmp_path / "train.txt", CONLL_2003) == [
        {"words": ["EU", "rejects"], "tags": ["B-ORG", "O"]},
        {"words": ["Peter", "Blackburn"], "tags": ["B-PER", "I-PER"]},
    ]
    assert read(tmp_path / "train.txt", CONLL_2003, tags=1)[0] == {"words": ["EU", "rejects"], "tags": ["NNP", "VBZ"]}


def test_a_sentence_is_where_its_first_word_is(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(CONLL_2003)
    rows = conll(path=str(tmp_path / "train.txt")).splits["train"]
    assert [rows.where(index) for index in range(2)] == [f"{tmp_path}/train.txt, line {line}" for line in (3, 6)]
    assert rows.select([1]).where(0).endswith("line 6")


def test_conll_u_gives_its_words_without_comments_written_forms_and_unwritten_words(tmp_path: Path) -> None:
    [row] = read(tmp_path / "es.conllu", CONLL_U, words=1, tags=3)
    assert row == {"words": ["Vamos", "nos", "New York"], "tags": ["VERB", "PRON", "PROPN"]}


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("#Sport\tO\nrocks\tO\n\n#\tO\nwon\tO\n", {}, [["#Sport", "rocks"], ["#", "won"]]),
        ("so\tO\n# a tweet\nit\tO\n", {}, [["so", "it"]]),
        ("#\thttp://example.org [2009-10-17]\n1\tin\tO\tO\n", {"words": 1}, [["in"]]),
        ("% it is said\na O\n", {"comments": "%"}, [["a"]]),
        ("a O\r\nb O\r\n\r\nc O", {}, [["a", "b"], ["c"]]),
        ("a   O  \nb \t O\n \t \nc O\n", {}, [["a", "b"], ["c"]]),
        ("10\u00a0000 O\n\u3000 O\n\u200b O\nx\u2028y O\n", {}, [["10\u00a0000", "\u3000", "\u200b", "x\u2028y"]]),
        ("a \t O\nb c\tO\n", {}, [["a", "b c"]]),
        ("a|O\nb c|O\n", {"delimiter": "|"}, [["a", "b c"]]),
        (b"\xef\xbb\xbfa O\n", {}, [["a"]]),
        ("caf\u00e9 O\n".encode("latin-1"), {"encoding": "latin-1"}, [["caf\u00e9"]]),
        ("O a\n", {"words": -1, "tags": 0}, [["a"]]),
        ("1-2 a O\n1.1 b O\n", {"words": 1}, [["a", "b"]]),
    ],
)
def test_no_word_is_lost_and_none_is_made_up(
    content: Any, options: Any, words: list[list[str]], tmp_path: Path
) -> None:
    assert [row["words"] for row in read(tmp_path / "train.txt", content, **options)] == words


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a X O\nb O\n", {}, "train.txt, line 2: 2 columns; line 1 has 3"),
        ("a\tO\nb O\n", {}, "train.txt, line 2: 1 columns; line 1 has 2"),
        ("a\tO\n\tO\n", {}, "train.txt, line 2: the word is empty"),
        ("a\tO\nb\t\n", {}, "train.txt, line 2: the tag is empty"),
        ("a O\n# it is said\n", {"comments": None}, "train.txt, line 2: 4 columns; line 1 has 2"),
        ("a O\n", {"tags": 2}, "2 columns, numbered from 0; dataset.tags says 2"),
        ("a O\n", {"words": -3}, "2 columns, numbered from 0; dataset.words says -3"),
        ("a O\n", {"words": 1}, "dataset.words and dataset.tags are both column 1"),
        ("a\n", {}, "1 columns; dataset.words and dataset.tags are both column 0"),
        ("# nothing\n\n-DOCSTART- O\n", {}, "train.txt: there are no words in it"),
        ("", {}, "train.txt: there are no words in it"),
        (b"a O\n" * 5000 + b"caf\xe9 O\n", {}, "train.txt, line 5001: not UTF-8 text, at byte 20003"),
        ("a O\n", {"encoding": "utf-9"}, "unknown encoding 'utf-9'. Did you mean 'utf-8'?"),
        ("a O\n", {"delimiter": ""}, "dataset.delimiter: expected some text"),
    ],
)
def test_a_mistake_is_told_with_its_place(content: Any, options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InarchError, match=re.escape(message)):
        read(tmp_path / "train.txt", content, **options)


def test_each_split_has_its_file(tmp_path: Path) -> None:
    paths = {}
    for name in ("train", "valid", "test"):
        (tmp_path / name).write_text(f"{name} O\n")
        paths[name] = str(tmp_path / name)
    made = conll(path=paths)
    assert {name: rows[0]["words"] for name, rows in made.splits.items()} == {name: [name] for name in paths}
    assert made.raw(made.splits["test"][0]) == ["test"]
    with pytest.raises(RecipeError, match=r"unknown split 'tset'. Did you mean 'test'"):
        conll(path={"train": paths["train"], "tset": paths["test"]})
    with pytest.raises(RecipeError, match="'train' is required"):
        conll(path={"test": paths["test"]})
    with pytest.raises(DataError, match="Did you mean 'train'"):
        conll(path=str(tmp_path / "trian"))
