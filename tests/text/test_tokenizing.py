"""Texts to tokens: once each, cut as asked, and every unit in its place."""

import time

import numpy as np
import pytest
import torch

from inarch import RecipeError
from inarch_text.tokenized import collate

TEXT = "The film was good, said Anna in New York."
ODD = [
    "emoji 👨‍👩‍👧 and 👍🏽!",
    "שלום עולם, مرحبا بالعالم",
    "zero\u200bwidth \u200ewords\ufeff here",
    "हिन्दी में शब्द",
    "世界 is the world",
    "tabs\tand\nlines\r\n  and   blanks ",
    "e\u0301 combined",
    "x" * 300,
]
FAMILIES = ["bert", "roberta", "gpt2", "llama"]


def units(backbone, raw):
    """Return the text of each unit, and its token."""
    example = backbone.transform(False)(raw)
    return [
        (backbone.part(raw, *place)["text"], token)
        for place, token in zip(example["places"].tolist(), example["units"].tolist(), strict=True)
    ]


def tokens(backbone, raw):
    ids = backbone.transform(False)(raw)["input_ids"].tolist()
    return [backbone.tokenizing.tokenizer.id_to_token(number) for number in ids]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("options", [{}, {"units": "pieces"}, {"max_tokens": 16, "truncate": "middle"}])
def test_prepared_examples_equal_transformed_ones(build, family, options):
    backbone = build(family, **options)
    raws = [TEXT, *ODD, TEXT, TEXT.split(), "good"]
    prepared = backbone.prepare(raws)
    assert len(prepared) == len(raws)
    assert all(same(example, backbone.transform(False)(raw)) for example, raw in zip(prepared, raws, strict=True))
    assert backbone.length(prepared[0]) == len(prepared[0]["input_ids"])


@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
def test_prepared_pairs_equal_transformed_ones(build, family):
    backbone = build(family, max_tokens=24)
    raws = [{"a": TEXT, "b": odd} for odd in ODD]
    prepared = backbone.prepare(raws)
    assert all(same(example, backbone.transform(False)(raw)) for example, raw in zip(prepared, raws, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_words_and_marks_are_units_in_every_family(build, family):
    found = units(build(family), TEXT)
    assert [text for text, _ in found] == ["The", "film", "was", "good", ",", "said", "Anna", "in", "New", "York", "."]
    numbers = [token for _, token in found]
    assert numbers == sorted(set(numbers)) and numbers[0] == (0 if family == "gpt2" else 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_words_are_given_or_found_at_the_same_places(build, family):
    backbone, words = build(family), ["The", "film", ",", "don't", "世界", "good"]
    assert [text for text, _ in units(backbone, words)] == words
    found = dict(units(backbone, " ".join(words)))
    given = dict(units(backbone, words))
    assert all(found[word] == given[word] for word in ("The", "film", ",", "good"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_piece_answers_for_a_word(build, family):
    backbone = build(family)
    words = ["the", "quick", "zzzz", "dog"]
    names = tokens(backbone, words)
    answers = [names[token].lstrip("Ġ▁#") for _, token in units(backbone, words)]
    assert all(answer and word.startswith(answer) for answer, word in zip(answers, words, strict=True))
    assert len(names) > len(words) + 4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ODD)
def test_odd_texts_have_units_in_order_that_leave_no_visible_character_out(build, family, text):
    backbone = build(family, max_tokens=64 if family != "gpt2" else "auto")
    example = backbone.transform(False)(text)
    places = example["places"].numpy()
    assert (places[:, 0] < places[:, 1]).all() and (places[1:, 0] >= places[:-1, 1]).all()
    covered = {index for start, end in places.tolist() for index in range(start, end)}
    assert {index for index, letter in enumerate(text) if letter.isalnum()} <= covered
    assert not any(text[index].isspace() for index in covered)


def test_chinese_characters_are_words_where_the_tokenizer_says_so(build):
    assert [text for text, _ in units(build("bert"), "ab世界cd e")] == ["ab", "世", "界", "cd", "e"]


def test_vowel_signs_do_not_cut_a_word(build):
    assert [text for text, _ in units(build("roberta"), "हिन्दी में शब्द।")][:2] == ["हिन्दी", "में"]


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_units_may_be_the_pieces_of_the_tokenizer(build, family):
    found = units(build(family, units="pieces"), "quick zzz!")
    assert "".join(text for text, _ in found) == "quickzzz!"
    names = [name for name in tokens(build(family), "quick zzz!") if name not in ("[CLS]", "[SEP]", "<s>", "</s>", "Ġ")]
    assert len(found) == len(names) > len(units(build(family), "quick zzz!"))


@pytest.mark.parametrize("truncate, kept", [
    ("right", "[CLS] a b c d e f [SEP]"),
    ("left", "[CLS] e f g h i j [SEP]"),
    ("middle", "[CLS] a b c h i j [SEP]"),
])  # fmt: skip
def test_too_long_texts_are_cut_where_the_recipe_says(build, truncate, kept):
    backbone = build("bert", max_tokens=8, truncate=truncate)
    raw = "a b c d e f g h i j"
    assert tokens(backbone, raw) == kept.split()
    for text, token in units(backbone, raw):
        assert (tokens(backbone, raw)[token] == text) if text in kept else token == -1
    assert [text for text, _ in units(backbone, raw)] == raw.split()


def test_of_a_pair_the_longer_text_is_cut_first(build):
    backbone = build("bert", max_tokens=9)
    for first, second, kept in [
        ("a b", "c d e f g h", "[CLS] a b [SEP] c d e f [SEP]"),
        ("c d e f g h", "a", "[CLS] c d e f g [SEP] a [SEP]"),
        ("a b c d e", "f g h i j", "[CLS] a b c [SEP] f g h [SEP]"),
    ]:
        assert " ".join(tokens(backbone, {"a": first, "b": second})) == kept


def test_too_long_may_be_an_error(build):
    backbone = build("bert", max_tokens=8, truncate="error")
    prepared = backbone.prepare(["a b", "a b c d e f g h i j"])
    assert len(prepared[0]["input_ids"]) == 4 and not prepared.notes
    with pytest.raises(ValueError, match=r"has 12 tokens, more than max_tokens 8; truncate: right would cut it"):
        prepared[1]


def test_units_of_a_pair_are_those_of_its_last_text(build):
    backbone, raw = build("bert"), {"question": "which film", "context": "a good film"}
    assert [text for text, _ in units(backbone, raw)] == ["a", "good", "film"]
    names = tokens(backbone, raw)
    assert [names[token] for _, token in units(backbone, raw)] == ["a", "good", "film"]
    assert units(backbone, raw)[0][1] > names.index("[SEP]")


def test_auto_is_the_longest_of_the_first_call_rounded_up(build):
    backbone = build("bert")
    assert backbone.resolved["max_tokens"] == "auto"
    backbone.prepare(["a", "a b c d e f g h i"])
    assert backbone.resolved["max_tokens"] == 16
    prepared = backbone.prepare(["a " * 100, "b", "a " * 100])
    assert backbone.resolved["max_tokens"] == 16 and len(prepared[0]["input_ids"]) == 16
    assert prepared.notes == ["2 of 3 texts are longer than max_tokens 16 and are cut on the right"]
    assert len(backbone.transform(False)("a " * 100)["input_ids"]) == 16


def test_auto_is_at_most_what_the_model_takes(build):
    backbone = build("roberta", truncate="middle")
    prepared = backbone.prepare(["a " * 500, "b"])
    assert backbone.resolved["max_tokens"] == 64 and len(prepared[0]["input_ids"]) == 64
    assert prepared.notes == ["1 of 2 texts is longer than max_tokens 64 and is cut in the middle"]


def test_a_tokenizer_without_a_pad_token_pads_with_its_end_and_says_so_once(build):
    backbone = build("gpt2")
    prepared = backbone.prepare(["good", "a good film"])
    assert prepared.notes == ["the tokenizer has no pad token; the end token (id 0) pads, masked out"]
    assert backbone.prepare(["good"]).notes == []
    batch = backbone.collate(list(prepared))
    assert (batch["input_ids"][0][batch["attention_mask"][0] == 0] == 0).all()
    assert build("bert").prepare(["good"]).notes == []


def test_each_distinct_text_is_tokenized_once_and_held_once(build):
    backbone, seen = build("bert"), []
    encode, tokenizer = backbone.tokenizing._encode, backbone.tokenizing
    tokenizer._encode = lambda batch: (seen.extend(batch), encode(batch))[1]
    prepared = tokenizer.prepare([TEXT, "good", TEXT, TEXT, "good", "bad"])
    assert len(seen) == 3
    values, bounds = prepared.columns["input_ids"]
    assert values.dtype == np.int32 and len(bounds) == 4 and len(values) == bounds[-1]
    assert prepared[0]["input_ids"].data_ptr() == prepared[2]["input_ids"].data_ptr()


@pytest.mark.parametrize("raw, message", [
    ("", "empty or blank"),
    (" \n\t", "empty or blank"),
    ("\u200b\ufeff", "empty or blank"),
    (None, "the text is missing"),
    (3.5, "expected text, a list of words or a text file, found float: 3.5"),
    (b"bytes", "found bytes"),
    ([], "empty or blank"),
    (["a", 3], "found int as word 2: 3"),
    ("half \ud83d", "character 5 is half of a surrogate pair"),
    ({"a": "x", "b": "y"}, "expected one text, found columns: a, b; a template can join"),
])  # fmt: skip
def test_what_is_no_text_is_told_when_it_is_asked_for(build, raw, message):
    backbone = build("bert")
    prepared = backbone.prepare(["good", raw, "bad"])
    assert len(prepared[0]["input_ids"]) == len(prepared[2]["input_ids"]) == 3
    with pytest.raises(ValueError, match=message):
        prepared[1]
    with pytest.raises(ValueError, match=message):
        backbone.transform(False)(raw)


def test_nothing_but_unreadable_inputs_and_no_inputs_are_prepared_too(build):
    prepared = build("bert").prepare([None, ""])
    with pytest.raises(ValueError, match="missing"):
        prepared[0]
    with pytest.raises(ValueError, match="blank"):
        prepared[1]
    assert len(build("bert").prepare([])) == 0


@pytest.mark.parametrize("raw, message", [
    ("good", "expected a pair of texts, found one text"),
    ({"a": "x", "b": "y", "c": "z"}, "a pair is two columns, found a, b, c; a template"),
    ({"a": "x"}, "expected a pair of texts, found one text"),
    ({"a": "x", "b": None}, "the column 'b': the text is missing"),
    ({"a": "x", "b": " "}, "empty or blank"),
])  # fmt: skip
def test_what_is_no_pair_is_told(build, raw, message):
    backbone = build("bert")
    prepared = backbone.prepare([{"a": "good", "b": 7}, raw])
    assert backbone.resolved["pair"] is True and len(prepared[0]["input_ids"]) == 5
    with pytest.raises(ValueError, match=message):
        prepared[1]


def test_a_tokenizer_that_puts_nothing_between_texts_takes_no_pair(build):
    with pytest.raises(ValueError, match="nothing between the texts of a pair; join them by a template"):
        build("gpt2").transform(False)({"a": "good", "b": "bad"})


def test_a_template_joins_columns(build):
    backbone = build("bert", template="{title}: {body} {{x}}")
    raw = {"title": "good", "body": ["a", "film"], "year": 1}
    assert [text for text, _ in units(backbone, raw)] == ["good", ":", "a", "film", "{", "x", "}"]
    assert backbone.prepare([raw]) and backbone.resolved["pair"] is False
    for wrong, message in [("good", "wants columns"), ({"title": "x"}, "names the column 'body'; the input has title")]:
        with pytest.raises(ValueError, match=message):
            backbone.transform(False)(wrong)


@pytest.mark.parametrize("template", ["no columns", "{}", "{title!r}", "{a:>9}", "{a"])
def test_a_template_that_is_none_is_refused(build, template):
    with pytest.raises(RecipeError, match=r"backbone\.template: "):
        build("bert", template=template)


@pytest.mark.parametrize("max_tokens", [1, 4])
def test_too_few_tokens_are_refused(build, max_tokens):
    with pytest.raises(RecipeError, match=r"backbone\.max_tokens: . leave no room for text, expected at least 5"):
        build("bert", max_tokens=max_tokens)


def test_a_hundred_thousand_characters_are_one_text(build):
    backbone = build("bert", max_tokens=32)
    text = "good film, " * 10_000
    example = backbone.transform(False)(text)
    assert len(example["input_ids"]) == 32 and len(example["units"]) == 30_000
    assert (example["units"] >= 0).sum() == 30 and example["places"][-1].tolist() == [109_998, 109_999]


def test_a_text_file_is_read_as_utf_8(build, tmp_path):
    (tmp_path / "good.txt").write_text("\ufeffgood 世界", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("caf\xe9 au lait".encode("latin-1"))
    backbone = build("bert")
    assert tokens(backbone, tmp_path / "good.txt") == ["[CLS]", "good", "世", "界", "[SEP]"]
    for name, message in [("latin.txt", "not UTF-8: byte 3 is 0xe9"), ("none.txt", "cannot be read: No such file")]:
        with pytest.raises(ValueError, match=message):
            backbone.transform(False)(tmp_path / name)


def test_a_batch_is_padded_on_the_right_to_its_longest(build):
    backbone = build("bert")
    batch = backbone.collate([backbone.transform(False)(text) for text in ("good", "a b c")])
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == batch["units"].dtype == torch.int64
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["input_ids"][0, 3:].tolist() == [0, 0] and batch["units"].tolist() == [[1, -1, -1], [1, 2, 3]]
    assert batch["places"][0].tolist() == [[0, 4], [0, 0], [0, 0]]


def test_collating_takes_no_time_for_each_token():
    """A loop over tokens in Python would take a hundred times as long for a hundred times as many."""

    def seconds(length):
        example = {name: torch.zeros(length, dtype=torch.int32) for name in ("input_ids", "units")}
        example["places"] = torch.zeros(length, 2, dtype=torch.int32)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            collate([example] * 32, 0, True)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(1000) < 20 * seconds(10)
