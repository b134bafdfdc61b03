"""What this plugin's components are tried with by `inarch.testing`. Light: imports no library of models."""

import json
from typing import Any

from inarch import Targets, Trial

_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_BERT = {"model_type": "bert", "max_position_embeddings": 64, "pad_token_id": 0, **_SIZES}
_GPT = {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "eos_token_id": 3}
_TEXTS = [
    "The film was good.", "bad", "a " * 100, "Is this 1 film, or 2? It was a very good film, said Anna!",
    "世界 in a text", " \t x \n", "\u00e9t\u00e9 \U0001f600",
]  # fmt: skip
_WORDS = [["Anna", "met", "Bo"], ["one"], ["a", "film", "of", "films", "."], ["good"] * 40]

_TAGS = [
    ["B-who", "O", "O", "B-place", "I-place"],
    ["O", "B-place", "O"],
    ["O"],
    ["B-who", "I-who", "B-who"],
]
_NAMED = Targets("segments", ("place", "who"), {"train": [2, 3]}, {"form": "tags", "values": {}, "plain": None})
_TAGGED = {"targets": _NAMED, "truths": _TAGS, "answers": [{"tags": tags, "segments": []} for tags in _TAGS]}
_STRETCHES = [
    [{"start": 0, "end": 3, "label": "who"}, {"start": 9, "end": 13, "label": "place"}],
    [],
    [{"start": 2, "end": 5, "label": "place"}],
]
_ANSWERS = ["the river", "Ada", "in 1815"]
_PLACES = [{"start": 0, "end": 9}, {"start": 10, "end": 13}, {"start": 4, "end": 11}]


def entity_f1() -> list[Trial]:
    """Tags, and stretches of characters."""
    form = {"form": "segments", "values": {}}
    stretches = Targets("segments", ("place", "who"), {"train": [2, 1]}, form)
    answers = [{"segments": found, "tags": []} for found in _STRETCHES]
    return [
        Trial(name="tags", **_TAGGED),
        Trial(name="one label", options={"label": "who"}, **_TAGGED),
        Trial(name="segments", targets=stretches, truths=_STRETCHES, answers=answers),
    ]


def token_accuracy() -> list[Trial]:
    """Tags that write segments, and tags that stand for themselves."""
    plain = [["name" if tag != "O" else "word" for tag in tags] for tags in _TAGS]
    themselves = Targets("segments", ("name", "word"), {"train": [8, 5]},
                         {"form": "tags", "values": {}, "plain": "the tag 'name'"})  # fmt: skip
    answers = [{"tags": tags, "segments": []} for tags in plain]
    return [
        Trial(name="tags", **_TAGGED),
        Trial(name="units", targets=themselves, truths=plain, answers=answers),
    ]


def answers() -> list[Trial]:
    """Answers that have a text, and answers that have a place."""
    truths = [{"text": [text], "answer_start": [place["start"]]} for text, place in zip(_ANSWERS, _PLACES, strict=True)]
    found = [{**place, "text": text, "score": 0.5} for text, place in zip(_ANSWERS, _PLACES, strict=True)]
    squad, places = (Targets("span", (), {"train": [3]}, {"form": form}) for form in ("squad", "segment"))
    return [
        Trial(name="squad", targets=squad, truths=truths, answers=found),
        Trial(name="places", targets=places, truths=_PLACES, answers=found),
    ]


def conll() -> list[Trial]:
    """Columns with blanks between them, and CoNLL-U, with splits."""
    plain = "-DOCSTART- O\n\nAda B-who\nmet O\nBo B-who\n\n# no word\nin O\nRome B-place\n"
    rest = "_\t" * 5
    words = [f"1\tdo\tdo\tVERB\t{rest}A", f"2\tn't\tnot\tPART\t{rest}B"]
    universal = "\n".join(["# sent_id = 1", "1-2\tdon't\t" + "_\t" * 7 + "_", *words, ""])
    other = universal.replace("do\t", "did\t").replace("don't", "didn't")
    splits = {"train": "train.conllu", "test": "test.conllu"}
    return [
        Trial(name="plain", options={"path": "words.txt"}, files={"words.txt": plain}),
        Trial(name="universal", options={"path": splits, "words": 1, "tags": 3},
              files={"train.conllu": universal, "test.conllu": other}),
    ]  # fmt: skip


def transformers() -> list[Trial]:
    """An encoder that sees texts, one that sees words, and a decoder; all tiny, with random weights."""
    return [
        _trial("bert", _BERT, _TEXTS, max_tokens=32),
        _trial("words", _BERT, _WORDS, max_tokens=24, depth=1, pooling="attention"),
        _trial("gpt2", _GPT, _TEXTS, max_tokens=32),
    ]


def _trial(name: str, config: dict[str, Any], inputs: list[Any], **options: Any) -> Trial:
    """Return a trial of a model whose folder has a configuration and a tokenizer of words and letters."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters), "the", "film", "##s"]
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    files = {
        "config.json": {**config, "vocab_size": len(words)},
        "tokenizer.json": _tokenizer({word: number for number, word in enumerate(words)}),
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", **special},
    }
    given = {"model": "./tiny", "weights": "none", **options}
    return Trial(name=name, options=given, inputs=inputs, refused=["", " \t", 7, None, b"text"],
                 files={f"tiny/{file}": json.dumps(content) for file, content in files.items()})  # fmt: skip


def _tokenizer(vocabulary: dict[str, int]) -> dict[str, Any]:
    """Return BERT's as a file of `tokenizers` has it: [CLS] a [SEP] b [SEP], unknown words in pieces of letters."""
    first, last, other = ({kind: {"id": name, "type_id": number}} for kind, name, number in (
        ("SpecialToken", "[CLS]", 0), ("SpecialToken", "[SEP]", 0), ("Sequence", "A", 0)))  # fmt: skip
    second, end = {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}
    tokens = {name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    shown = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": vocabulary[name], "content": name, **shown} for name in list(vocabulary)[:4]],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": [first, other, last],
                           "pair": [first, other, last, second, end], "special_tokens": tokens},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    }  # fmt: skip
