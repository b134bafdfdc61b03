"""What this plugin's components are tried with by `inarch.testing`. Light: imports no library of models."""

from inarch import Targets, Trial

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
