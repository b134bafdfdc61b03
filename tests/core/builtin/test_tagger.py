"""The head `tagger`: what it reads, how it aligns, learns and predicts."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from inarch import Dataset, Features, Rows, Targets
from inarch.builtin.heads import tagger
from inarch.builtin.segment_targets import read_segments, verify_tagger
from inarch.errors import DataError

WORDS = [["Ada", "Lovelace", "met", "Bo", "Li"], ["in", "New", "York"], ["no", "one"]]
BIO = [["B-PER", "I-PER", "O", "B-PER", "B-PER"], ["O", "B-LOC", "I-LOC"], ["O", "O"]]
BIOES = [["B-PER", "E-PER", "O", "S-PER", "S-PER"], ["O", "B-LOC", "E-LOC"], ["O", "O"]]
IOB1 = [["I-PER", "I-PER", "O", "I-PER", "B-PER"], ["O", "I-LOC", "I-LOC"], ["O", "O"]]
SEGMENTS = [
    [{"start": 17, "end": 19, "label": "PER"}, {"start": 0, "end": 12, "label": "PER"},
     {"start": 20, "end": 22, "label": "PER"}],
    [{"start": 3, "end": 11, "label": "LOC"}],
    [],
]  # fmt: skip
PARTS = [["NOUN", "NOUN", "VERB", "NOUN", "NOUN"], ["ADP", "NOUN", "NOUN"], ["DET", "NOUN"]]
FORMS = {"bio": BIO, "bioes": BIOES, "iob1": IOB1, "segments": SEGMENTS}


def targets_of(column: list[Any], inputs: list[Any] | None = None, **more: Any) -> Targets:
    """Read targets; `more` may be further splits' columns of targets, whose inputs are not looked at, or classes."""
    classes = more.pop("classes", None)
    splits = {"train": Rows({"x": inputs or WORDS[: len(column)], "y": column}, where="line {}".format)}
    for name, values in more.items():
        splits[name] = Rows({"x": [None] * len(values), "y": values}, where=(name + ", line {}").format)
    return read_segments(Dataset(splits, "x", "y", origin="here", classes=classes))


def places_of(words: list[str]) -> list[tuple[int, int]]:
    starts = np.cumsum([0] + [len(word) + 1 for word in words])
    return [(int(start), int(start) + len(word)) for start, word in zip(starts, words, strict=False)]


def features_of(rows: list[list[str]], width: int = 12, cut: int = 99) -> Features:
    """Words of two tokens each, after a special one; words from number `cut` on are cut off. A word has its vector."""
    units = torch.full((len(rows), max(map(len, rows))), -1)
    places = torch.zeros(*units.shape, 2)
    tokens = torch.zeros(len(rows), 2 * units.shape[1] + 1, width)
    for row, words in enumerate(rows):
        for unit, (word, place) in enumerate(zip(words, places_of(words), strict=True)):
            places[row, unit] = torch.tensor(place)
            units[row, unit] = 2 * unit + 1 if unit < cut else -1
            generator = torch.Generator().manual_seed(sum(map(ord, word)))
            tokens[row, 2 * unit + 1] = torch.randn(width, generator=generator)
            tokens[row, 2 * unit + 2] = 99.0  # the second piece of a word must not matter
    return Features(tokens=tokens, units=units, places=places)


def make(column: list[Any], **options: Any) -> Any:
    torch.manual_seed(0)
    return tagger(targets_of(column), 12, **options)


def fit(head: Any, features: Features, truth: torch.Tensor) -> list[float]:
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    losses = []
    for _ in range(80):
        total, count = head.loss(head(features), truth)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append((total / count).item())
    return losses


def told(prediction: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(s["start"], s["end"], s["label"]) for s in prediction["segments"]]


@pytest.mark.parametrize("options", [{}, {"hidden": 9, "dropout": 0.1}, {"class_weights": "balanced"}])
@pytest.mark.parametrize("scheme", ["bio", "bioes"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_targets_is_learnt_in_every_scheme(form: str, scheme: str, options: dict[str, Any]) -> None:
    head, features = make(FORMS[form], scheme=scheme, **options), features_of(WORDS)
    losses = fit(head, features, head.encode(FORMS[form]))
    assert losses[-1] < 0.3 * losses[0]
    found = head.eval().predict(head(features))
    assert [told(row) for row in found] == [
        [(0, 12, "PER"), (17, 19, "PER"), (20, 22, "PER")],
        [(3, 11, "LOC")],
        [],
    ]
    assert [row["tags"] for row in found] == (BIO if scheme == "bio" else BIOES)
    assert all(type(s["start"]) is int and 0 < s["score"] <= 1 for row in found for s in row["segments"])


def test_parts_of_speech_are_learnt_unit_by_unit() -> None:
    head, features = make(PARTS, scheme="units"), features_of(WORDS)
    fit(head, features, head.encode(PARTS))
    found = head.predict(head(features))
    assert head.tags == ["ADP", "DET", "NOUN", "VERB"]
    assert [row["tags"] for row in found] == PARTS
    assert told(found[2]) == [(0, 2, "DET"), (3, 6, "NOUN")]


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_segments_and_tags_mean_the_same_to_the_loss(scheme: str) -> None:
    by_tags, by_places = make(BIO, scheme=scheme), make(SEGMENTS, scheme=scheme)
    features = features_of(WORDS)
    first = by_tags.loss(by_tags(features), by_tags.encode(BIO))
    second = by_places.loss(by_places(features), by_places.encode(SEGMENTS))
    assert torch.equal(first[0], second[0]) and first[1] == second[1] == 10


def test_a_unit_belongs_to_the_segment_that_holds_its_middle() -> None:
    head = make(SEGMENTS, scheme="bioes")
    places = torch.tensor([[[0, 2], [2, 4], [4, 8], [8, 9], [0, 0]]], dtype=torch.float32)
    stretches = torch.tensor([[[0, 3.5, 1], [5, 7, 2], [8.6, 9, 1], [0, 0, 0]]])
    tags = [head.tags[number - 1] for number in head.align(stretches, places)[0].tolist()]
    assert tags == ["B-LOC", "E-LOC", "S-PER", "O", "O"]


def test_neighbours_of_one_label_stay_two_segments() -> None:
    head = make(SEGMENTS)
    places = torch.tensor([[[0.0, 1], [1, 2], [2, 3]]])
    numbers = head.align(torch.tensor([[[0.0, 1, 2], [1, 3, 2]]]), places)
    assert [head.tags[number - 1] for number in numbers[0].tolist()] == ["B-PER", "B-PER", "I-PER"]


@pytest.mark.parametrize("form", ["bio", "segments"])
@pytest.mark.parametrize("weights", ["none", "balanced", {"O": 0.1, "LOC": 2.0}])
def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole(form: str, weights: Any) -> None:
    head, column = make(FORMS[form], class_weights=weights, label_smoothing=0.1), FORMS[form]
    whole = head.loss(head(features_of(WORDS)), head.encode(column))
    parts = [head.loss(head(features_of(WORDS[p])), head.encode(column[p])) for p in (slice(0, 1), slice(1, 3))]
    assert torch.allclose(parts[0][0] + parts[1][0], whole[0])
    assert torch.allclose(parts[0][1] + parts[1][1], whole[1])


def test_a_part_of_a_batch_keeps_the_padding_of_the_whole() -> None:
    head = make(BIO)
    outputs, truth = head(features_of(WORDS)), head.encode(BIO)
    apart = head.loss(head(features_of(WORDS[1:])), truth[1:])
    assert torch.allclose(apart[0], head.loss({name: t[1:] for name, t in outputs.items()}, truth[1:])[0])


def test_the_loss_is_torchs_cross_entropy_over_the_units_that_are_seen() -> None:
    head = make(BIO, class_weights="balanced", label_smoothing=0.1)
    outputs = head(features_of(WORDS, cut=2))
    logits = torch.cat([outputs["logits"][row, :2] for row in range(3)])
    truth = torch.tensor([head.tags.index(tag) for row in BIO for tag in row[:2]])
    total, count = head.loss(outputs, head.encode(BIO))
    assert torch.allclose(total / count, F.cross_entropy(logits, truth, head.weights, label_smoothing=0.1))


@pytest.mark.parametrize("form", ["bio", "segments"])
def test_units_that_were_cut_off_neither_count_nor_are_predicted(form: str) -> None:
    head, features = make(FORMS[form]), features_of(WORDS, cut=1)
    total, count = head.loss(head(features), head.encode(FORMS[form]))
    assert count == 3 and torch.isfinite(total)
    fit(head, features_of(WORDS), head.encode(FORMS[form]))
    found = head.predict(head(features))
    assert [row["tags"] for row in found] == [["B-PER", "O", "O", "O", "O"], ["O", "O", "O"], ["O", "O"]]
    assert told(found[0]) == [(0, 3, "PER")]
    parts = make(PARTS, scheme="units")
    assert parts.predict(parts(features))[2]["tags"][1] == ""


def test_an_input_without_units_has_no_loss_and_no_segments() -> None:
    for column in (BIO, SEGMENTS):
        head = make(column)
        features = Features(tokens=torch.randn(2, 1, 12), units=torch.zeros(2, 0).long(), places=torch.zeros(2, 0, 2))
        total, count = head.loss(head(features), head.encode(column[2:] * 2))
        assert total == 0 and count == 0
        assert head.predict(head(features)) == [{"segments": [], "tags": []}] * 2


def test_the_score_of_a_segment_is_the_mean_probability_of_its_tags() -> None:
    head = make(BIO)
    logits = torch.full((1, 3, 5), -20.0)
    for unit, (tag, probability) in enumerate([("B-PER", 0.9), ("I-PER", 0.6), ("O", 0.8)]):
        number = head.tags.index(tag)
        logits[0, unit, number] = float(np.log(probability))
        logits[0, unit, (number + 1) % 5] = float(np.log(1 - probability))
    places = torch.tensor([[[0.0, 0.25], [0.25, 1.0], [1.0, 1.5]]])
    (found,) = head.predict({"logits": logits, "places": places, "seen": torch.ones(1, 3, dtype=torch.bool)})
    assert found["segments"] == [{"start": 0, "end": 1, "label": "PER", "score": pytest.approx(0.75, abs=1e-5)}]


def test_seconds_are_told_to_a_tenth_of_a_millisecond() -> None:
    head = make(BIO)
    outputs = {"logits": torch.eye(5)[None, [head.tags.index("B-PER")]], "seen": torch.ones(1, 1, dtype=torch.bool)}
    (found,) = head.predict({**outputs, "places": torch.tensor([[[0.1, 2.0]]])})
    assert told(found) == [(0.1, 2, "PER")]


def test_gradients_reach_the_first_piece_of_each_word_alone() -> None:
    head, features = make(BIO), features_of(WORDS)
    tokens = features.tokens.clone().requires_grad_()
    head.loss(head(features._replace(tokens=tokens)), head.encode(BIO))[0].backward()
    reached = tokens.grad.abs().sum(-1) > 0
    assert reached.sum() == 10 and not reached[:, 0::2].any()


@pytest.mark.parametrize("form", FORMS)
def test_the_labels_and_their_numbers_of_segments_are_found_in_train(form: str) -> None:
    targets = targets_of(FORMS[form])
    assert (targets.kind, targets.classes, targets.counts) == ("segments", ("LOC", "PER"), {"train": [1, 3]})
    assert targets.details["form"] == ("segments" if form == "segments" else "tags")
    assert "repaired" not in targets.details


def test_balanced_weights_are_even_over_segments_and_leave_the_outside_at_one() -> None:
    head = make(BIO, class_weights="balanced")
    assert head.weights.tolist() == pytest.approx([1, 2, 2, 2 / 3, 2 / 3])


def test_numbers_are_tags_through_the_classes_of_the_data_set() -> None:
    names = {"O": ["0"], "B-PER": ["1"], "I-PER": ["2"], "B-LOC": ["3"], "I-LOC": ["4"]}
    column = [[1, 2, 0, 1, 1], [0, 3, 4], [0, 0]]
    targets = targets_of(column, classes=names)
    assert targets.classes == ("PER", "LOC") and targets.counts["train"] == [3, 1]
    head = tagger(targets, 12)
    assert [[head.tags[n - 1] for n in row if n] for row in head.encode(column).tolist()] == BIO
    with pytest.raises(DataError, match="line 1: unknown tag '7'"):
        targets_of([[1], [7]], [["a"], ["b"]], classes=names)


def test_labels_of_segments_join_through_the_classes_of_the_data_set() -> None:
    targets = targets_of(SEGMENTS, classes={"name": ["PER", "LOC"]})
    assert targets.classes == ("name",) and targets.counts["train"] == [4]
    assert tagger(targets, 12).encode(SEGMENTS)[1, 0].tolist() == [3, 11, 1]


OPTIONS = {"scheme": "bio", "repair": "begin", "class_weights": "none"}


def test_tags_that_go_on_with_nothing_are_counted_or_refused() -> None:
    targets = targets_of([["B-x", "O", "I-x"], ["I-y", "B-y"]], [["a"] * 3, ["b"] * 2], valid=[["O", "I-x"]])
    assert targets.details["repaired"] == {"train": 2, "valid": 1}
    assert targets.counts == {"train": [2, 2], "valid": [1, 0]}
    verify_tagger(targets, OPTIONS)
    with pytest.raises(ValueError, match=r"^repair line 0: the tag 'I-x' follows 'O'; repair: begin"):
        verify_tagger(targets, {**OPTIONS, "repair": "error"})
    verify_tagger(targets_of(IOB1), {**OPTIONS, "repair": "error"})


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        (PARTS, {}, r"^scheme line 0: the tag 'NOUN', which is not O.*write scheme: units"),
        ([["O", "B-x"], ["B_x", "O"]], {}, r"^scheme line 1: the tag 'B_x'"),
        (BIO, {"scheme": "units"}, r"^scheme units .* say where segments begin; write scheme: bio"),
        (SEGMENTS, {"scheme": "units"}, r"^scheme units .* the targets are segments"),
        (
            BIO,
            {"class_weights": {"PRE": 2.0}},
            r"^class_weights unknown class 'PRE'. Did you mean 'PER'\? Allowed: O, LOC",
        ),
    ],
)
def test_options_that_do_not_fit_the_targets_are_errors(column: Any, options: dict[str, Any], message: str) -> None:
    inputs = [["w"] * len(row) for row in column] if isinstance(column[0][0], str) else None
    with pytest.raises(ValueError, match=message):
        verify_tagger(targets_of(column, inputs), {**OPTIONS, **options})


def segment(start: Any, end: Any, label: Any = "x") -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


@pytest.mark.parametrize(
    ("column", "inputs", "message"),
    [
        ([["O", "B-x"], ["O"]], [["a", "b"], ["a", "b", "c"]], "line 1: 1 tags for 3 units"),
        ([["O", "B-x"], None], [["a", "b"], ["c"]], "line 1: expected a list of tags, one per unit, found None"),
        ([["O", "B-x"], "O"], [["a", "b"], ["c"]], "line 1: expected a list of tags"),
        ([["O", "B-x"], [None]], [["a", "b"], ["c"]], "line 1: expected a list of tags"),
        ([["O", "B-x"]], ["a b"], "line 0: tags belong to units, but the input is a text"),
        ([["O", "O"]], [["a", "b"]], "here: every tag of train is 'O'"),
        ([["NN"], ["NN"]], [["a"], ["b"]], "here: every tag of train is 'NN'"),
        ([[], []], [[], []], "here: no example of train has anything in 'y'"),
        ([None], ["a"], "here: no example of train has anything in 'y'"),
        ([[segment(0, 1)], None], ["ab", "c"], "line 1: expected a list of segments .* found None; write none as"),
        ([[segment(0, 1), segment(3, 9, "yy"), segment(2, 4)]], ["a" * 9], r"overlap: x \[2, 4\) and yy \[3, 9\)"),
        ([[segment(1, 1)]], ["ab"], "line 0: .*ends after its start"),
        ([[segment(-1, 1)]], ["ab"], "line 0: .*starts at 0 or later"),
        ([[segment(0, float("nan"))]], ["ab"], "line 0: .*ends after its start"),
        ([[segment(0, True)]], ["ab"], "line 0: start and end of a segment are numbers"),
        ([[segment(0, 3)]], ["ab"], r"line 0: the segment x \[0, 3\) ends beyond the input, which has 2 characters"),
        ([[segment(0, 4)]], [["a", "b"]], "which has 3 characters"),
        ([[segment(0, 1, None)]], ["ab"], "line 0: a segment needs label; found"),
        ([[segment(0, 1), "x"]], ["ab"], "line 0: a segment needs start, end, label; found 'x'"),
    ],
)
def test_targets_that_cannot_be_are_told_with_their_place(column: Any, inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        targets_of(column, inputs)


@pytest.mark.parametrize(
    ("column", "valid", "message"),
    [
        (
            BIO,
            ["B-PRE"],
            "valid, line 0: valid: unknown tag 'B-PRE'. Did you mean 'B-PER'.* No example of train has it",
        ),
        (BIO, ["NN"], "valid: unknown tag 'NN'"),
        (PARTS, ["NOUNS"], "unknown tag 'NOUNS'. Did you mean 'NOUN'"),
        (SEGMENTS, [segment(0, 1, "PRE")], "valid: unknown label 'PRE'. Did you mean 'PER'"),
    ],
)
def test_a_label_that_train_does_not_have_is_an_error(column: Any, valid: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        targets_of(column, valid=[valid])


def test_a_letter_that_train_does_not_have_is_fine() -> None:
    assert targets_of([["B-x", "O"]], [["a", "b"]], test=[["O", "B-x", "I-x", "E-x"]]).counts["test"] == [1]
