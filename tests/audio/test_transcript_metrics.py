"""Error rates of transcripts, from predictions and raw texts."""

import subprocess
import sys

import pytest

from inarch import Targets
from inarch.intervals import compute, estimate
from inarch_audio.transcript_metrics import character_error_rate, word_error_rate

TARGETS = Targets("transcript", details={"characters": " abc", "merges": None, "values": {}})
TRUE = ["the cat sat", "a dog", "", "no"]


def predicted(*texts: str) -> list[dict[str, object]]:
    return [{"text": text, "score": 0.5, "segments": []} for text in texts]


@pytest.mark.parametrize(
    ("found", "words", "characters"),
    [
        (TRUE, 0, 0),
        (["the cat sat", "a dog", "", "on"], 1 / 6, 2 / 18),  # one wrong word; o and n are both wrong
        (["the cat sat down", "a", "", "no"], 2 / 6, 9 / 18),  # one too many, one missing
        (["the cats at", "a dog", "oh no", "no"], 4 / 6, 7 / 18),  # what is heard in silence counts
        (["", "", "", ""], 1, 1),
        (["x " * 9, "x " * 9, "x " * 9, "x " * 9], 6, None),
    ],
)
def test_errors_are_counted_per_word_and_per_character(
    found: list[str], words: float, characters: float | None
) -> None:
    assert compute(word_error_rate(TARGETS), predicted(*found), TRUE) == pytest.approx(words)
    if characters is not None:
        assert compute(character_error_rate(TARGETS), predicted(*found), TRUE) == pytest.approx(characters)


@pytest.mark.parametrize("build", [word_error_rate, character_error_rate])
def test_empty_transcripts_alone_give_a_number(build: object) -> None:
    assert compute(build(TARGETS), predicted("", ""), ["", ""]) == 0
    assert compute(build(TARGETS), predicted("a", ""), ["", ""]) == 1


@pytest.mark.parametrize("build", [word_error_rate, character_error_rate])
def test_parts_add_up_to_the_whole(build: object) -> None:
    metric, found = build(TARGETS), predicted("the cats at", "dog", "oh", "no")
    for row in range(4):
        metric.update(found[row : row + 1], TRUE[row : row + 1])
    assert metric.compute().item() == pytest.approx(compute(build(TARGETS), found, TRUE))
    assert not metric.higher_is_better


def test_the_interval_of_an_error_rate_is_that_of_resampled_transcripts() -> None:
    true = ["one two three"] * 40
    found = predicted(*(["one two three"] * 30 + ["one two four"] * 10))
    estimated = estimate({"wer": word_error_rate(TARGETS)}, found, true, None)["wer"]
    assert estimated.value == pytest.approx(10 / 120)
    assert 0.03 < estimated.low < 10 / 120 < estimated.high < 0.15


def test_the_builders_import_nothing_heavy() -> None:
    code = "import inarch_audio.transcript_metrics, sys; print({'torch', 'torchmetrics'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_class_is_compared_by_its_name() -> None:
    targets = Targets("transcript", details={"characters": "enotw", "merges": None, "values": {"1": "one", "2": "two"}})
    assert compute(word_error_rate(targets), predicted("one", "one"), ["1", "2"]) == 0.5
    assert compute(character_error_rate(targets), predicted("one", "wo"), ["1", "2"]) == pytest.approx(1 / 6)
