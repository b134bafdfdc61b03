"""The head `ctc`: its loss, what it refuses, what it predicts."""

import json
import math
from itertools import groupby, product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from inarch_toy.spelling import Letters

from inarch import Dataset, Features, Rows
from inarch.builtin.heads import ctc
from inarch.builtin.transcript_targets import read_transcripts
from inarch.data.loaders import Examples
from inarch.model import Model
from inarch.training.step import accumulate, optimize

TEXTS = ["ab a", "bb", "", "abba ab"]


def make(texts: list[str] = TEXTS, vocabulary: Any = "characters", width: int = 6, **options: Any) -> Any:
    torch.manual_seed(0)
    targets = read_transcripts(Dataset({"train": Rows({"x": texts, "y": texts})}, "x", "y"), {"vocabulary": vocabulary})
    return ctc(targets, width, vocabulary=vocabulary, **options)


def features_of(lengths: list[int], seed: int = 0, width: int = 6, hop: float = 0.02) -> Features:
    """Frames of `hop` seconds; a token for each, after one that is nobody's."""
    longest, random = max(lengths), torch.Generator().manual_seed(seed)
    numbers = torch.arange(longest)
    mask = numbers < torch.tensor(lengths)[:, None]
    places = torch.stack([numbers * hop, (numbers + 1) * hop], -1) * mask[..., None]
    tokens = torch.randn(len(lengths), longest + 1, width, generator=random)
    return Features(tokens=tokens, units=torch.where(mask, numbers + 1, -1), places=places)


def outputs_of(head: Any, paths: list[list[str]], probability: float = 0.9, hop: float = 0.02) -> dict[str, Any]:
    """Outputs of frames that are this sure of a path, in which "" is the blank."""
    size = len(head.pieces) + 1
    features = features_of([len(path) for path in paths], hop=hop)
    logits = torch.zeros(len(paths), features.units.shape[1], size)
    for row, path in enumerate(paths):
        for frame, piece in enumerate(path):
            logits[row, frame] = math.log((1 - probability) / (size - 1))
            logits[row, frame, head.pieces.spelt.index(piece)] = math.log(probability)
    return {"logits": logits, "places": features.places, "seen": features.units >= 0}


def test_the_loss_is_that_of_all_paths_that_write_the_text() -> None:
    head = make()
    outputs = head(features_of([5]))
    logs = outputs["logits"][0].log_softmax(-1)
    paths = product(range(4), repeat=5)
    wanted = [p for p in paths if [k for k, _ in groupby(p) if k] == head.encode(["ab"])[0].tolist()]
    probability = sum(logs[range(5), path].sum().exp() for path in wanted)
    total, count = head.loss(outputs, head.encode(["ab"]))
    assert torch.allclose(total, -probability.log()) and count == 2


def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole() -> None:
    head, features, truth = make(), features_of([9, 4, 6, 12]), make().encode(TEXTS)
    outputs = head(features)
    whole = head.loss(outputs, truth)
    alone = [head.loss({name: t[[row]] for name, t in outputs.items()}, truth[[row]]) for row in range(4)]
    assert torch.allclose(sum(total for total, _ in alone), whole[0])
    assert sum(count for _, count in alone) == whole[1] == 4 + 2 + 1 + 7


def test_padding_does_not_matter() -> None:
    head, features = make(), features_of([9, 4])
    cut = Features(tokens=features.tokens[1:, :5], units=features.units[1:, :4], places=features.places[1:, :4])
    both, alone = head(features), head(cut)
    truth = head.encode(["ab a", "bb"])
    padded = head.loss({name: tensor[1:] for name, tensor in both.items()}, truth[1:])[0]
    assert torch.allclose(padded, head.loss(alone, head.encode(["bb"]))[0])
    assert head.predict(both)[1]["text"] == head.predict(alone)[0]["text"]


def test_units_that_are_not_seen_are_skipped_wherever_they_are() -> None:
    head = make()
    outputs = outputs_of(head, [["a", "b", "", "b"]])
    holes = {name: torch.cat([t[:, :1], t[:, 2:3], t[:, 1:]], 1) for name, t in outputs.items()}
    holes["seen"] = torch.tensor([[True, False, True, True, True]])
    assert head.predict(holes) == head.predict(outputs) and head.predict(holes)[0]["text"] == "abb"
    truth = head.encode(["abb"])
    assert torch.equal(head.loss(holes, truth)[0], head.loss(outputs, truth)[0])


@pytest.mark.parametrize(("text", "length"), [("ab a", 3), ("bb", 2), ("", 0), ("a", 0)])
def test_a_text_that_the_units_cannot_carry_counts_for_nothing(text: str, length: int) -> None:
    head, features = make(), features_of([length, 6])
    total, count = head.loss(head(features), head.encode([text, "a b"]))
    alone = head.loss(head(features_of([6])), head.encode(["a b"]))
    assert torch.isfinite(total) and count == alone[1] == 3
    total.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in head.parameters())
    only, none = head.loss(head(features_of([max(1, length)] if length else [0])), head.encode([text]))
    assert length == 0 or (only, none) == (0, 0)


@pytest.mark.parametrize(
    ("text", "least"), [("", 0), ("a", 1), ("ab", 2), ("aa", 3), ("bb bb", 7), ("éa", 1), ("aéa", 3)]
)
def test_a_text_is_refused_exactly_where_its_loss_would_be_infinite(text: str, least: int) -> None:
    head = make()
    head.refuse(text, least)
    for length in range(1, 9):
        logs = torch.full((length, 1, 4), 0.25).log()
        numbers = head.encode([text])
        loss = F.ctc_loss(logs, F.pad(numbers, (0, 1)), torch.tensor([length]), (numbers > 0).sum(1), reduction="none")
        assert torch.isfinite(loss).all() == (length >= least)
    if least:
        with pytest.raises(ValueError, match=f"needs {least} frames.* but the input has {least - 1}$"):
            head.refuse(text, least - 1)


def test_the_refusal_says_what_is_needed_and_what_there_is() -> None:
    with pytest.raises(
        ValueError,
        match=r"^the transcript 'abba ab' needs 8 frames, for 7 letters and 1 between equal ones, but the input has 5$",
    ):
        make().refuse("abba ab", 5)
    with pytest.raises(ValueError, match=r"^the transcript 'ab ab' needs 3 frames, for 2 pieces and 1 between"):
        make(["ab ab", "ab"], 5).refuse("ab ab", 2)


def test_characters_that_train_does_not_have_are_left_out_of_the_loss() -> None:
    head = make()
    assert torch.equal(head.encode(["aéb", "ö"]), head.encode(["ab", ""]))
    outputs = head(features_of([4]))
    assert head.loss(outputs, head.encode(["aéb"])) == head.loss(outputs, head.encode(["ab"]))


@pytest.mark.parametrize("decoding", ["greedy", "beam"])
def test_texts_are_read_with_their_words_and_where_these_are(decoding: str) -> None:
    head = make(decoding=decoding)
    path = ["", "a", "a", "b", "", "b", " ", " ", "", "a", ""]
    found, empty = head.predict(outputs_of(head, [path, ["", ""]], 0.95))
    assert found["text"] == "abb a" and empty["text"] == "" and empty["segments"] == []
    assert found["segments"] == [
        {"start": 0.02, "end": 0.12, "label": "abb"},
        {"start": 0.18, "end": 0.2, "label": "a"},
    ]


def test_the_score_of_the_best_path_is_its_probability_per_piece() -> None:
    head = make()
    found, empty = head.predict(outputs_of(head, [["a", "", "b", "b"], ["", ""]], 0.9))
    assert found["score"] == pytest.approx(0.9 ** (4 / 2)) and empty["score"] == pytest.approx(0.9**2)
    better, _ = make(decoding="beam").predict(outputs_of(head, [["a", "", "b", "b"], ["", ""]], 0.9))
    assert found["score"] < better["score"] < 1


@pytest.mark.parametrize("decoding", ["greedy", "beam"])
def test_sub_words_are_written_with_their_spaces(decoding: str) -> None:
    head = make(["one two", "two one", "one"], 12, decoding=decoding)
    assert {" one", " two"} <= set(head.pieces.spelt)
    found, other = head.predict(outputs_of(head, [["", " one", " one", "", " two"], ["o", "n", " two", "e", ""]]))
    assert found["text"] == "one two" and [word["label"] for word in found["segments"]] == ["one", "two"]
    assert found["segments"][1] == {"start": 0.08, "end": 0.1, "label": "two"}
    assert other["text"] == "on twoe" and [word["label"] for word in other["segments"]] == ["on", "twoe"]


def test_predictions_are_plain_data() -> None:
    head = make()
    for found in head.predict(head(features_of([7, 3, 0]))):
        assert json.loads(json.dumps(found)) == found and 0 < found["score"] <= 1
    assert head.predict(head(features_of([0])))[0] == {"text": "", "score": 1.0, "segments": []}


def test_windows_are_read_as_one() -> None:
    head = make()
    path = ["a", "", "b", "b", " ", "", "a", "a", "b", ""]
    whole = outputs_of(head, [path], hop=1.0)
    windows = {name: torch.cat([tensor[:, :6], tensor[:, 4:]]) for name, tensor in whole.items()}
    joined = head.join(windows, torch.tensor([[0.0, 5.0], [5.0, 10.0]]))
    assert head.predict(joined) == head.predict(whole)
    assert head.predict(joined)[0]["text"] == "ab ab"


def spelt(rows: int) -> tuple[list[str], list[str]]:
    """Texts of which each letter is there one to three times, and what they spell: no letter twice in a row."""
    random = np.random.default_rng(0)
    texts, heard = [], []
    for _ in range(rows):
        words = ["".join(random.choice(list("abcdef"), random.integers(1, 4))) for _ in range(random.integers(1, 4))]
        text = "".join(key for key, _ in groupby(" ".join(words)))
        texts.append(text)
        heard.append("".join(letter * int(random.integers(1, 4)) for letter in text))
    return heard, texts


@pytest.mark.parametrize("precise", ["float64", "float32"])
@pytest.mark.parametrize("vocabulary", ["characters", 12])
def test_gradients_are_equal_however_the_batch_is_cut(vocabulary: Any, precise: str) -> None:
    heard, texts = spelt(10)
    texts[3] = ""

    def gradients(micro_batch: int) -> dict[str, torch.Tensor]:
        head = make(texts, vocabulary, width=8)
        dataset = Dataset({"train": Rows({"x": heard, "y": texts})}, "x", "y")
        torch.manual_seed(1)
        backbone = Letters("none", 8, True, None)
        model = Model(backbone, head).to(getattr(torch, precise)).train()
        item = Examples(dataset, "train", backbone, head, 0, False)[(0, [7, 3, 0, 9, 1, 5, 2], 7)]
        accelerator, scaler = Accelerator(cpu=True), torch.GradScaler("cpu", enabled=False)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        forward, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=1.0))
        total = accumulate(forward, model, item, micro_batch, accelerator, "fp32", scaler)
        optimize(model, optimizer, total, accelerator, None, scaler)
        return {name: before[name] - tensor for name, tensor in model.state_dict().items()}

    whole = gradients(64)
    assert all(torch.linalg.norm(gradient) > 0 for gradient in whole.values())
    for size in (1, 2, 3):
        for name, gradient in gradients(size).items():
            tolerance = 1e-9 if precise == "float64" else 1e-5
            assert torch.linalg.norm(gradient - whole[name]) <= tolerance * torch.linalg.norm(whole[name]), (size, name)
