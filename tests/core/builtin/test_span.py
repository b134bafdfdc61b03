"""The head `span`: what it reads, learns and predicts."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from inarch import Dataset, Features, Rows, Targets
from inarch.builtin.answer_targets import read_answers
from inarch.builtin.heads import span
from inarch.errors import DataError

QUESTIONS = ["who?", "where?"]
TEXTS = ["Ada met Bo Li here", "far in the old north"]
SQUAD = [{"text": ["Bo Li", "Li"], "answer_start": [8, 11]}, {"text": ["old north"], "answer_start": [11]}]
LISTS = [[{"start": 8, "end": 13}, {"start": 11, "end": 13}], [{"start": 11, "end": 20, "label": None}]]
SINGLE = [{"start": 8, "end": 13}, {"start": 11, "end": 20}]
FORMS: dict[str, list[Any]] = {"squad": SQUAD, "segments": LISTS, "segment": SINGLE}


def targets_of(column: list[Any], texts: list[Any] | None = None) -> Targets:
    texts = texts or TEXTS[: len(column)]
    rows = Rows({"question": ["?"] * len(texts), "text": texts, "y": column}, where="line {}".format)
    return read_answers(Dataset({"train": rows}, ("question", "text"), "y", origin="here"))


def features_of(texts: list[str], unseen: tuple[int, ...] = ()) -> Features:
    """A token for each word, after one for the question; tokens of `unseen` words are cut off."""
    rows = [text.split(" ") for text in texts]
    units = torch.full((len(rows), max(map(len, rows))), -1)
    places = torch.zeros(*units.shape, 2)
    for row, words in enumerate(rows):
        start = 0
        for unit, word in enumerate(words):
            places[row, unit] = torch.tensor([start, start + len(word)])
            units[row, unit] = -1 if unit in unseen else unit + 1
            start += len(word) + 1
    generator = torch.Generator().manual_seed(1)
    return Features(tokens=torch.randn(len(rows), 8, 12, generator=generator), units=units, places=places)


def make(column: list[Any] = SQUAD, **options: Any) -> Any:
    torch.manual_seed(0)
    return span(targets_of(column), 12, **options)


def outputs_of(starts: list[float], ends: list[float]) -> dict[str, torch.Tensor]:
    """Outputs of one example whose units are one character each, from logits."""
    places = torch.stack([torch.arange(len(starts)), torch.arange(1, len(starts) + 1)], 1).float()
    seen = torch.ones(1, len(starts), dtype=torch.bool)
    return {"logits": torch.tensor([starts, ends]).T[None], "places": places[None], "seen": seen}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"hidden": 9, "dropout": 0.1}])
def test_the_first_answer_of_every_form_is_learnt(form: str, options: dict[str, Any]) -> None:
    head, features = make(FORMS[form], **options), features_of(TEXTS)
    truth, losses = head.encode(FORMS[form]), []
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(60):
        total, count = head.loss(head(features), truth)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append((total / count).item())
    assert losses[-1] < 0.3 * losses[0]
    found = head.eval().predict(head(features))
    assert [(row["start"], row["end"]) for row in found] == [(8, 13), (11, 20)]
    assert all(type(row["start"]) is int and 0.3 < row["score"] <= 1 for row in found)


@pytest.mark.parametrize("form", FORMS)
def test_answers_are_counted_and_their_form_is_kept(form: str) -> None:
    targets = targets_of(FORMS[form])
    assert (targets.kind, targets.counts, targets.details) == ("span", {"train": [2]}, {"form": form})


def test_the_loss_is_the_mean_of_two_cross_entropies() -> None:
    head = make()
    outputs = head(features_of(TEXTS))
    logits = outputs["logits"]
    assert logits.shape == (2, 5, 2)
    starts = F.cross_entropy(logits[..., 0], torch.tensor([2, 3]), reduction="sum")
    ends = F.cross_entropy(logits[..., 1], torch.tensor([3, 4]), reduction="sum")
    total, count = head.loss(outputs, head.encode(SQUAD))
    assert torch.allclose(total, (starts + ends) / 2) and count == 2


def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole() -> None:
    head, features = make(), features_of([*TEXTS, "a"], unseen=(3,))
    truth = torch.tensor([[8.0, 13.0], [11.0, 20.0], [5.0, 6.0]])
    whole = head.loss(head(features), truth)
    parts = [
        head.loss(
            head(Features(tokens=features.tokens[p], units=features.units[p], places=features.places[p])), truth[p]
        )
        for p in (slice(0, 1), slice(1, 3))
    ]
    assert torch.allclose(parts[0][0] + parts[1][0], whole[0]) and parts[0][1] + parts[1][1] == whole[1] == 2


@pytest.mark.parametrize(
    ("unseen", "answer", "first", "last"),
    [((), (9, 12), 2, 3), ((3,), (8, 13), 2, 2), ((2,), (8, 13), 3, 3), ((), (2, 5), 0, 1)],
)
def test_an_answer_is_all_seen_units_that_it_overlaps(
    unseen: tuple[int, ...], answer: tuple[int, int], first: int, last: int
) -> None:
    head = make()
    outputs = head(features_of(TEXTS[:1], unseen))
    logits = outputs["logits"].masked_fill(~outputs["seen"][..., None], -torch.inf).log_softmax(1)
    total, count = head.loss(outputs, torch.tensor([answer]))
    assert count == 1 and torch.allclose(total, -(logits[0, first, 0] + logits[0, last, 1]) / 2)


@pytest.mark.parametrize(("unseen", "answer"), [((2, 3), (8, 13)), ((0, 1, 2, 3, 4), (8, 13)), ((), (3, 4))])
def test_an_answer_of_which_no_unit_is_seen_does_not_count(unseen: tuple[int, ...], answer: tuple[int, int]) -> None:
    head = make()
    total, count = head.loss(head(features_of(TEXTS[:1], unseen)), torch.tensor([answer]))
    total.backward()
    assert total == 0 and count == 0
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in head.parameters())


def test_an_input_without_units_is_answered_by_nothing() -> None:
    head = make()
    features = Features(tokens=torch.randn(1, 1, 12), units=torch.zeros(1, 0).long(), places=torch.zeros(1, 0, 2))
    assert head.loss(head(features), torch.tensor([[0.0, 3.0]])) == (0, 0)
    (found,) = head.predict(head(features))
    assert (found["start"], found["end"]) == (0, 0)


def test_an_answer_never_ends_before_it_starts_nor_is_longer_than_longest() -> None:
    outputs = outputs_of([0, 0, 0, 9.5, 5, 0], [9, 0, 0, 0, 0, 6])
    assert [(p["start"], p["end"]) for p in make(longest=3).predict(outputs)] == [(3, 6)]
    assert [(p["start"], p["end"]) for p in make(longest=1).predict(outputs)] == [(3, 4)]
    far = outputs_of([0, 900, 0], [900, 0, 0])  # probabilities of what is left would be 0, and all stretches alike
    far["logits"][0, 2] = torch.tensor([-5.0, 5.0])
    assert [(p["start"], p["end"]) for p in make().predict(far)] == [(1, 3)]


def test_the_best_stretch_is_the_best_of_all_pairs() -> None:
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        outputs = outputs_of(torch.randn(7, generator=generator).tolist(), torch.randn(7, generator=generator).tolist())
        starts, ends = outputs["logits"][0].softmax(0).unbind(1)
        pairs = {(s, e + 1): (starts[s] * ends[e]).item() for s in range(7) for e in range(s, min(s + 4, 7))}
        (found,) = make(longest=4).predict(outputs)
        best = max(pairs, key=pairs.__getitem__)
        assert (found["start"], found["end"]) == best and found["score"] == pytest.approx(pairs[best])


def test_units_that_are_not_seen_are_no_ends_of_an_answer() -> None:
    outputs = outputs_of([9, 1, 0], [0, 1, 9])
    outputs["seen"] = torch.tensor([[False, True, False]])
    (found,) = make().predict(outputs)
    assert (found["start"], found["end"], found["score"]) == (1, 2, pytest.approx(1))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "line 0: expected an answer, .* found None; every example needs one"),
        ([], r"line 0: expected an answer, .* found \[\]"),
        ({"text": [], "answer_start": []}, "line 0: expected an answer"),
        ({"text": ["Bo"], "answer_start": [9]}, "line 0: the answer 'Bo' is not at 9: 'o ' is"),
        ({"text": ["Bo", "Li"], "answer_start": [8]}, "line 0: expected as many 'text' as 'answer_start'"),
        ({"text": "Bo", "answer_start": 8}, "line 0: expected as many"),
        ({"text": [""], "answer_start": [8]}, "line 0: .*ends after its start"),
        ({"text": ["here"], "answer_start": [16]}, "line 0: .* ends beyond the input, which has 18 characters"),
        ([{"start": 8, "end": 13}, {"start": 8}], "line 0: a segment needs end"),
        ({"start": 5, "end": 5}, "line 0: .*ends after its start"),
        ("Bo", "line 0: expected an answer"),
        (["Bo"], "line 0: a segment needs start, end, label; found 'Bo'"),
    ],
)
def test_answers_that_cannot_be_are_told_with_their_place(answer: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        targets_of([answer])
