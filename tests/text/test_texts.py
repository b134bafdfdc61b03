"""What is text, before any tokenizer sees it."""

import subprocess
import sys

import pytest

from inarch_text.texts import is_blank, read, verify


def test_texts_words_and_files_are_read(tmp_path):
    (tmp_path / "one.txt").write_bytes("\ufeffgood\r\nfilm".encode())
    assert read("good") == ("good", None)
    assert read(["a", "good", "film"]) == ("a good film", ("a", "good", "film"))
    assert read(tmp_path / "one.txt") == ("good\r\nfilm", None)


@pytest.mark.parametrize(
    "raw", ["good", " a ", ["a", "b"], {"a": "x", "b": ""}, {"a": 1, "b": 2.5}, "👨‍👩‍👧", "שלום", "a" * 100_000]
)
def test_text_is_verified(raw):
    verify(raw)


@pytest.mark.parametrize("raw, message", [
    (None, r"^the text is missing$"),
    ("", r"^the text is empty or blank$"),
    ("\u200b \u2060\ufeff\n", "empty or blank"),
    (["", " "], "empty or blank"),
    ({"a": "", "b": " "}, "empty or blank"),
    ({"a": "x", "b": None}, r"^the column 'b': the text is missing"),
    ({"a": "x", "b": True}, r"the column 'b': expected text, .*, found bool: True"),
    (7, "expected text, a list of words or a text file, found int: 7"),
    (["a", None], "expected a list of words, found NoneType as word 2: None"),
    ("a\ud83d", "character 1 is half of a surrogate pair"),
        ("a\udce9", "character 1 is the byte 0xe9, not UTF-8"),
])  # fmt: skip
def test_what_is_no_text_says_why(raw, message):
    with pytest.raises(ValueError, match=message):
        verify(raw)


def test_a_file_in_another_encoding_is_told_with_the_byte(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"\xef\xbb\xbfna\xefve")
    with pytest.raises(ValueError, match=r"latin\.txt is not UTF-8: byte 5 is 0xef; convert the file"):
        verify(tmp_path / "latin.txt")
    with pytest.raises(ValueError, match=r"none\.txt cannot be read: No such file or directory"):
        verify(tmp_path / "none.txt")


@pytest.mark.parametrize(
    "text, blank", [("", True), ("\u200d\u00ad\x00", True), ("\u200bx", False), ("👍", False), (".", False)]
)
def test_blank_is_what_shows_nothing(text, blank):
    assert is_blank(text) == blank


def test_verifying_brings_neither_torch_nor_transformers():
    code = (
        "import sys; from inarch_text import builders; builders.verify('good'); builders.starter(); "
        "sys.exit(', '.join({'torch', 'transformers', 'tokenizers', 'numpy'} & set(sys.modules)) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0 and not found.stderr
