"""Metrics of segments and answers: equal to seqeval and to hand-counted values, added up from single examples."""

import random
from pathlib import Path
from typing import Any

import pytest

from inarch import Targets, find_segments, write_tags
from inarch.errors import RecipeError
from inarch.intervals import estimate
from inarch.recipe import load
from inarch.workflows.check import check
from inarch_text import metrics

TAGS = Targets("segments", ("a", "b", "a-b"), {}, {"form": "tags", "values": {}, "plain": None})
SEGMENTS = Targets("segments", ("a", "b"), {}, {"form": "segments", "values": {}})
PLAIN = Targets("segments", ("NOUN", "VERB"), {}, {"form": "tags", "values": {}, "plain": "line 1: the tag 'NOUN'"})
SQUAD = Targets("span", (), {}, {"form": "squad"})
PLACES = Targets("span", (), {}, {"form": "segments"})


def value(metric: Any, predictions: list[Any], targets: list[Any]) -> float:
    metric.update(predictions, targets)
    return float(metric.compute())


def sentences(letters: str, count: int, seed: int) -> list[list[str]]:
    """Return random tags, most of them breaking every rule."""
    generator = random.Random(seed)
    tags = ["O", *(f"{letter}-{label}" for letter in letters for label in TAGS.classes)]
    return [generator.choices(tags, k=generator.randint(1, 12)) for _ in range(count)]


def changed(rows: list[list[str]], letters: str) -> list[list[str]]:
    """Return the rows with a fifth of their tags drawn anew."""
    generator, others = random.Random(1), sentences(letters, len(rows), seed=2)
    return [[generator.choice(other) if generator.random() < 0.2 else tag for tag in row]
            for row, other in zip(rows, others, strict=True)]  # fmt: skip


# What f1_score of seqeval 1.2.2 says of these sentences: of all labels, of the label a alone; not every pip can
# build that package.
SEQEVAL = {
    "BI": (0.7909796975064722, 0.7961835160373529),
    "BIES": (0.8256674362161842, 0.8312771503040834),
    "I": (0.7390848760041915, 0.7334376630151277),
}
SEQEVAL_CHARACTERS = {"BI": 0.8048327137546468, "BIES": 0.8213634706525702}
SEQEVAL_ACCURACY = 0.8281488258615431


@pytest.mark.parametrize("letters", SEQEVAL)
def test_entity_f1_is_that_of_seqeval(letters: str) -> None:
    true = sentences(letters, 1500, seed=0)
    found = changed(true, letters)
    measured = value(metrics.entity_f1(TAGS), [{"tags": tags, "segments": []} for tags in found], true)
    assert measured == pytest.approx(SEQEVAL[letters][0], abs=1e-6)
    of_label = value(metrics.entity_f1(TAGS, label="a"), [{"tags": tags} for tags in found], true)
    assert of_label == pytest.approx(SEQEVAL[letters][1], abs=1e-6)


@pytest.mark.parametrize("letters", SEQEVAL_CHARACTERS)
def test_entity_f1_of_segments_of_characters_is_that_of_their_tags(letters: str) -> None:
    def segments(tags: list[str]) -> list[dict[str, Any]]:  # units of three characters, without blanks between
        return [{"start": 3 * first, "end": 3 * last + 3, "label": name} for first, last, name in find_segments(tags)]

    true = sentences(letters, 1000, seed=3)
    found = changed(true, letters)
    predictions = [{"tags": [], "segments": segments(tags)[::-1]} for tags in found]
    measured = value(metrics.entity_f1(SEGMENTS), predictions, [segments(tags) for tags in true])
    assert measured == pytest.approx(SEQEVAL_CHARACTERS[letters], abs=1e-6)


def test_neighbours_count_each_for_itself() -> None:
    true = [{"start": 5, "end": 9, "label": "a"}]
    found = [{"start": 0, "end": 5, "label": "a"}, *true]
    assert value(metrics.entity_f1(SEGMENTS), [{"segments": found}], [true]) == pytest.approx(2 / 3)
    assert value(metrics.entity_f1(TAGS), [{"tags": ["B-a", "B-a"]}], [["O", "B-a"]]) == pytest.approx(2 / 3)


def test_entity_f1_is_zero_where_there_are_no_segments() -> None:
    assert value(metrics.entity_f1(TAGS), [{"tags": ["O"]}], [["O"]]) == 0


def test_other_names_of_tags_and_labels_are_known() -> None:
    tags = Targets("segments", ("a",), {}, {"form": "tags", "values": {"0": "O", "1": "B-a", "2": "I-a"}})
    assert value(metrics.entity_f1(tags), [{"tags": ["B-a", "I-a", "O"]}], [[1, 2, 0]]) == 1
    assert value(metrics.token_accuracy(tags), [{"tags": ["B-a", "I-a", "O"]}], [[1, 2, 1]]) == pytest.approx(2 / 3)
    segments = Targets("segments", ("thing",), {}, {"form": "segments", "values": {"x": "thing", "y": "thing"}})
    found = {"segments": [{"start": 0, "end": 2, "label": "thing", "score": 0.9}]}
    assert value(metrics.entity_f1(segments), [found], [[{"start": 0, "end": 2, "label": "y"}]]) == 1


def test_token_accuracy_is_that_of_seqeval_for_tags_that_keep_the_rules() -> None:
    rows = [write_tags(find_segments(tags), len(tags), "bio") for tags in sentences("BI", 1000, seed=4)]
    found = [write_tags(find_segments(tags), len(tags), "bio") for tags in changed(rows, "BI")]
    measured = value(metrics.token_accuracy(TAGS), [{"tags": tags} for tags in found], rows)
    assert measured == pytest.approx(SEQEVAL_ACCURACY, abs=1e-6)
    bioes = [write_tags(find_segments(tags), len(tags), "bioes") for tags in found]
    assert value(metrics.token_accuracy(TAGS), [{"tags": tags} for tags in bioes], rows) == pytest.approx(measured)


def test_token_accuracy_of_tags_that_stand_alone_compares_them_as_they_are() -> None:
    assert value(metrics.token_accuracy(PLAIN), [{"tags": ["NOUN", "VERB", ""]}], [["NOUN", "NOUN", "VERB"]]) == (
        pytest.approx(1 / 3)
    )


ANSWERS = [
    {"text": ["the Eiffel Tower", "Eiffel Tower, Paris"], "answer_start": [4, 8]},
    {"text": ["1889"], "answer_start": [0]},
]


@pytest.mark.parametrize(
    ("texts", "exact", "f1"),
    [
        (["Eiffel tower!", "1889"], 1, 1),  # case, articles and punctuation do not count
        (["Paris", "in 1889"], 0, (1 / 2 + 2 / 3) / 2),
        (["London", "1889"], 0.5, 0.5),
    ],
)
def test_answers_are_compared_as_squad_does(texts: list[str], exact: float, f1: float) -> None:
    found = [{"start": 0, "end": 1, "score": 0.5, "text": text} for text in texts]
    assert value(metrics.exact_match(SQUAD), found, ANSWERS) == pytest.approx(exact)
    assert value(metrics.answer_f1(SQUAD), found, ANSWERS) == pytest.approx(f1)


def test_answers_without_a_text_are_compared_by_their_place() -> None:
    found = [
        {"start": 0, "end": 4, "text": "?"},
        {"start": 2, "end": 6, "text": "?"},
        {"start": 0, "end": 2, "text": "?"},
    ]
    true = [{"start": 0, "end": 4}, [{"start": 90, "end": 91}, {"start": 4, "end": 6}], [{"start": 2, "end": 5}]]
    assert value(metrics.exact_match(PLACES), found, true) == pytest.approx(1 / 3)
    assert value(metrics.answer_f1(PLACES), found, true) == pytest.approx((1 + 2 / 3 + 0) / 3)


@pytest.mark.parametrize("name", ["entity_f1", "token_accuracy", "exact_match", "answer_f1"])
def test_a_metric_is_resampled_from_sums_and_its_interval_holds_its_value(name: str) -> None:
    if name in ("entity_f1", "token_accuracy"):
        true = sentences("BI", 60, seed=5)
        found, targets = [{"tags": tags} for tags in changed(true, "BI")], TAGS
    else:
        found = [{"start": 0, "end": 4, "text": text} for text in ("1889", "Paris", "in 1889") * 20]
        true, targets = [ANSWERS[1]] * 60, SQUAD
    metric = getattr(metrics, name)(targets)
    measured = estimate({name: metric}, found, true, None)[name]
    assert measured.low is not None and measured.high is not None
    assert measured.low < measured.value < measured.high
    assert measured.value == pytest.approx(value(getattr(metrics, name)(targets), found, true))


RECIPE = """\
dataset: {{name: conll, path: {path}}}
backbone: {{name: transformers, model: nowhere, weights: none}}
head: {{name: tagger, scheme: {scheme}}}
strategy: scratch
metrics: [{metric}]
splits: {{valid: 0.2, test: 0.2}}
"""


@pytest.mark.parametrize(
    ("tags", "scheme", "metric", "said"),
    [
        (
            "B-per O",
            "bio",
            "{name: entity_f1, label: pre}",
            r"line 5: metrics.0.label: unknown label 'pre'. Did you mean 'per'",
        ),
        ("NOUN VERB", "units", "entity_f1", "line 5: metrics.0: entity_f1 measures segments, .*; use token_accuracy"),
        ("B-per O", "bio", "accuracy", "but 'tagger' predicts segments. Allowed: entity_f1, .*token_accuracy"),
    ],
)
def test_a_metric_that_cannot_measure_the_targets_is_told_before_training(
    tags: str, scheme: str, metric: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "train.txt").write_text("".join(f"{word} {tag}\n\n" for tag in tags.split() for word in "abcdefgh"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(path=tmp_path / "train.txt", scheme=scheme, metric=metric))
    with pytest.raises(RecipeError, match=said):
        check(load(recipe))


def test_token_accuracy_of_segments_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a tag for each unit"):
        metrics.verify_tags(SEGMENTS, {})
