"""Verification: the loss with a margin, embeddings, and identities that train does not have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

import inarch
from inarch import Dataset, Features, Head, Rows, Targets
from inarch.builtin.embedder_targets import read_embedder, verify_embedder
from inarch.builtin.heads import embedder
from inarch.builtin.verification import additive_margin
from inarch.errors import DataError

Refused = Callable[..., str]
OPTIONS = {"loss": "additive_margin"}
PEOPLE = ["ann", "bob", "cy"] * 4


def read(train: list[Any], inputs: tuple[str, ...] | str = "x", classes: Any = None, **others: list[Any]) -> Targets:
    splits = {
        name: Rows({"x": column, "z": column, "y": column}) for name, column in {"train": train, **others}.items()
    }
    return read_embedder(Dataset(splits, inputs, "y", classes=classes, origin="here"), OPTIONS)


def make(width: int = 6, others: tuple[str, ...] = (), **options: Any) -> Head:
    torch.manual_seed(0)
    return embedder(read(PEOPLE, test=list(others)), width, loss="additive_margin", **options)


def test_the_loss_by_hand() -> None:
    cosines = torch.tensor([[0.5, 0.1], [0.3, 0.9]])
    found = additive_margin(cosines, torch.tensor([0, 0]), scale=10.0, margin=0.2)
    # 10 x (0.5 - 0.2) = 3 against 1; 10 x (0.3 - 0.2) = 1 against 9
    assert found.tolist() == pytest.approx([np.log(1 + np.exp(-2.0)), np.log(1 + np.exp(8.0))], rel=1e-5)


def test_without_a_margin_the_loss_is_the_cross_entropy_of_scaled_cosines() -> None:
    cosines, truth = 0.2 * torch.rand(9, 4), torch.randint(4, (9,))
    expected = F.cross_entropy(30 * cosines, truth, reduction="none")
    assert torch.allclose(additive_margin(cosines, truth, 30.0, 0.0), expected)
    assert (additive_margin(cosines, truth, 30.0, 0.2) > expected).all()


def test_an_identity_that_train_does_not_have_is_not_in_the_loss() -> None:
    head = make(others=("dan", "eve"))
    outputs, truth = head(Features(pooled=torch.randn(4, 6))), head.encode(["ann", "dan", "cy", "eve"])
    assert truth.tolist() == [0, 3, 2, 4]
    total, count = head.loss(outputs, truth)
    known = {name: tensor[[0, 2]] for name, tensor in outputs.items()}
    expected, two = head.loss(known, truth[[0, 2]])
    assert (total.item(), count.item(), two.item()) == (pytest.approx(expected.item()), 2, 2)
    total, count = head.loss(outputs, torch.tensor([3, 4, 3, 4]))
    assert (total.item(), count.item()) == (0, 0)


def test_the_margin_is_that_of_the_loss_unless_the_recipe_has_one() -> None:
    assert make().margin == 0.2 and make(margin=0.35).margin == 0.35
    contrastive = read_embedder(Dataset({"train": Rows({"x": PEOPLE, "y": PEOPLE})}, "x", "y"), {"loss": "contrastive"})
    assert embedder(contrastive, 6, loss="contrastive").margin == 0.5


def test_embeddings_have_length_1_and_cosines_are_theirs_to_the_identities() -> None:
    head = make(dimensions=5)
    torch.nn.init.normal_(head.linear.weight, std=9.0)
    outputs = head(Features(pooled=100 * torch.randn(7, 6)))
    assert torch.allclose(head.scores(outputs).norm(dim=-1), torch.ones(7)) and head.scores(outputs).shape == (7, 5)
    expected = F.cosine_similarity(head.scores(outputs)[:, None], head.linear.weight[None], dim=-1)
    assert torch.allclose(outputs["cosines"], expected, atol=1e-6)


def test_a_prediction_is_the_likeliest_identity_of_train_its_cosine_and_the_embedding() -> None:
    head = make(width=2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 5.0], [-1.0, 0.0]]))
    (found,) = head.predict(head(Features(pooled=torch.tensor([[3.0, 4.0]]))))
    assert found == {"class": "bob", "score": pytest.approx(0.8), "embedding": [0.6, 0.8]}
    assert json.loads(json.dumps(found)) == found


def test_windows_are_joined_to_an_embedding_of_length_1() -> None:
    head = make(width=2)
    outputs = head(Features(pooled=torch.tensor([[1.0, 0.0], [0.0, 1.0]])))
    joined = head.join(outputs, torch.tensor([[0.0, 1.0], [1.0, 2.0]]))
    whole = head(Features(pooled=torch.tensor([[1.0, 1.0]])))
    for name in ("embeddings", "cosines"):
        assert torch.allclose(joined[name], whole[name], atol=1e-6)


def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole() -> None:
    head = make(others=("dan",))
    pooled, truth = torch.randn(10, 6), torch.randint(4, (10,))

    def of(start: int, end: int) -> torch.Tensor:
        return torch.stack(head.loss(head(Features(pooled=pooled[start:end])), truth[start:end]))

    assert torch.allclose(of(0, 3) + of(3, 10), of(0, 10))


def test_there_are_no_partners() -> None:
    assert make().partners(PEOPLE) is None and not make().separate


def test_identities_are_learnt_and_those_of_others_told_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(40, 8, generator=generator)

    def draw(people: range) -> tuple[torch.Tensor, torch.Tensor]:
        who = torch.tensor(list(people)).repeat(20)
        noise = 3 * torch.randn(len(who), 8, generator=generator)
        return torch.cat([centres[who], noise], 1), who

    targets = read([f"p{person:02}" for person in range(30)])
    torch.manual_seed(0)
    head = embedder(targets, 16, loss="additive_margin", dimensions=8)
    before = _equal_error_rate(head, *draw(range(30, 40)))
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.02)
    pooled, truth = draw(range(30))
    for _ in range(60):
        total, count = head.loss(head(Features(pooled=pooled)), truth)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert before > 0.2
    assert _equal_error_rate(head, *draw(range(30, 40))) < 0.5 * before


def _equal_error_rate(head: Head, pooled: torch.Tensor, truth: torch.Tensor) -> float:
    from inarch.builtin.verification_metrics import EqualErrorRate

    metric = EqualErrorRate()
    metric.update(head.scores(head(Features(pooled=pooled))).detach(), truth)
    return float(metric.compute())


def test_identities_of_other_splits_are_numbered_on_and_told() -> None:
    targets = read(["b", "a", "b", "a"], valid=["a", "d", "a"], test=["c", "d", "c", "b"])
    assert (targets.kind, targets.classes) == ("identities", ("a", "b"))
    assert targets.details == {"values": {"a": 0, "b": 1, "d": 2, "c": 3}}
    assert targets.counts == {"train": [2, 2], "valid": [2, 0], "test": [0, 1]}
    assert targets.notes == ["identities that train does not have: 1 in valid, 2 in test"]
    assert read(PEOPLE, test=["ann", "bob", "ann"]).notes == []


def test_splits_without_two_kinds_of_pairs_are_told() -> None:
    targets = read(PEOPLE, valid=["d", "d"], test=["ann", "d"])
    assert targets.notes[:2] == [
        "valid is of one identity: verification cannot be measured there",
        "test has each identity once: verification cannot be measured there",
    ]


def test_joined_identities_keep_one_number() -> None:
    targets = read(["a1", "a2", "b"], classes={"a": ["a1", "a2"], "b": ["b"]}, test=["c", "a2"])
    assert targets.details == {"values": {"a1": 0, "a2": 0, "b": 1, "c": 2}}


def test_targets_that_are_no_identities_are_told() -> None:
    with pytest.raises(DataError, match="only one class in train"):
        read(["a", "a"], test=["b"])
    with pytest.raises(DataError, match="row 1: the target 'y' is missing"):
        read(["a", "b"], test=["a", ""])
    with pytest.raises(ValueError, match=r"^loss additive_margin wants an identity for each input; .* loss: cosine"):
        verify_embedder(read([0.0, 1.0], ("x", "z")), OPTIONS)
    verify_embedder(read(PEOPLE), OPTIONS)


@pytest.fixture
def speakers(toy_recipe: Path, tmp_path: Path) -> Path:
    """A recipe of verification: 12 speakers, each in one split alone, with 12 vectors."""
    generator = np.random.default_rng(0)
    lines = ["vector,speaker"]
    for speaker in range(12):
        centre = 2 * generator.normal(size=4)
        for _ in range(12):
            lines.append(f"{' '.join(f'{v:.4f}' for v in centre + 0.8 * generator.normal(size=4))},s{speaker}")
    (tmp_path / "vectors.csv").write_text("\n".join(lines) + "\n")
    text = toy_recipe.read_text().replace("target: class", "target: speaker, group: speaker")
    text += "splits: {valid: 0.25, test: 0.25}\n"
    text = text.replace("head: classifier", "head: {name: embedder, loss: additive_margin, dimensions: 4}")
    toy_recipe.write_text(text.replace("[accuracy]", "[equal_error_rate, min_dcf]").replace("epochs: 2", "epochs: 12"))
    return toy_recipe


def test_a_recipe_trains_verification_of_speakers_that_train_does_not_have(speakers: Path, tmp_path: Path) -> None:
    inarch.train(speakers, out=tmp_path / "run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["notes"]["data"] == ["identities that train does not have: 3 in valid, 3 in test"]
    error, cost = (results["metrics"][name] for name in ("equal_error_rate", "min_dcf"))
    assert 0 < error["low"] <= error["value"] <= error["high"] < 0.4
    assert 0 < cost["low"] <= cost["value"] <= cost["high"] <= 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions" / "test.jsonl").read_text().splitlines()]
    assert not {line["class"] for line in lines} & {line["target"] for line in lines}
    served = inarch.load(tmp_path / "run" / "model").predict([line["input"] for line in lines])
    embeddings = np.array([prediction["embedding"] for prediction in served])
    assert np.allclose(embeddings, [line["embedding"] for line in lines], atol=2e-6)
    who = np.array([line["target"] for line in lines])
    cosines, alike = (embeddings @ embeddings.T)[np.triu_indices(36, 1)], (who[:, None] == who)[np.triu_indices(36, 1)]
    assert roc_auc_score(alike, cosines) > 0.85


def test_a_metric_of_classes_is_refused_for_identities(refused: Refused, speakers: Path) -> None:
    speakers.write_text(speakers.read_text().replace("equal_error_rate, min_dcf", "accuracy"))
    told = refused("check", speakers)
    assert "'accuracy' measures classes, labels, but 'embedder' predicts identities. Allowed: equal_error_rate," in told


def test_a_metric_of_identities_is_refused_for_classes(refused: Refused, speakers: Path) -> None:
    speakers.write_text(speakers.read_text().replace("additive_margin", "cosine").replace("group: speaker", ""))
    told = refused("check", speakers)
    assert "'equal_error_rate' measures identities, but 'embedder' predicts classes." in told
