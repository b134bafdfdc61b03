"""The head `embedder`: partners, losses of pairs, and what it says of targets that do not fit."""

import json
import pickle
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Inarch

from inarch import Dataset, Features, Head, Rows, Targets
from inarch.builtin.embedder import Partners, contrastive_loss, cosine_loss
from inarch.builtin.embedder_targets import read_embedder, verify_embedder
from inarch.builtin.heads import embedder
from inarch.errors import DataError
from inarch.interfaces.dataset import Stream

NUMBERS = [0.0, 5.0, 2.5, 1.0, 4.0]
CLASSES = ["a", "b", "c"] * 4
DRAWS = 4000


def read(column: list[Any], inputs: tuple[str, ...] | str, **other_splits: list[Any]) -> Targets:
    def rows(values: list[Any]) -> Rows:
        return Rows({"x": values, "z": values, "w": values, "y": values})

    splits = {name: rows(values) for name, values in {"train": column, **other_splits}.items()}
    return read_embedder(Dataset(splits, inputs, "y", origin="here"), {"loss": "cosine"})


def make(column: list[Any], inputs: tuple[str, ...] | str = "x", width: int = 6, **options: Any) -> Head:
    torch.manual_seed(0)
    return embedder(read(column, inputs), width, **options)


def unit(*angles: float) -> Features:
    """Return features of length 3 at angles, in degrees, in the plane."""
    radians = torch.deg2rad(torch.tensor(angles))
    return Features(pooled=3 * torch.stack([radians.cos(), radians.sin()], 1))


def drawn(classes: list[int], row: int) -> Counter[int]:
    random.seed(0)
    partners = Partners(classes)
    return Counter(partners(row) for _ in range(DRAWS))


@pytest.mark.parametrize("row", range(7))
def test_half_of_the_partners_are_of_the_same_class_and_never_the_example_itself(row: int) -> None:
    classes = [2, 0, 1, 0, 2, 0, 2]
    found = drawn(classes, row)
    same = [other for other in range(7) if classes[other] == classes[row] and other != row]
    others = [other for other in range(7) if classes[other] != classes[row]]
    for rows, share in ((same, 0.5), (others, 0.5)) if same else ((others, 1.0),):
        for other in rows:
            assert found[other] / DRAWS == pytest.approx(share / len(rows), abs=0.04)  # five deviations
    assert set(found) == {*same, *others}


def test_an_example_that_is_alone_in_its_class_gets_partners_of_the_others() -> None:
    assert set(drawn([0, 0, 1], 2)) == {0, 1}


def test_two_rows_of_two_classes_are_each_others_partners() -> None:
    assert set(drawn([0, 1], 0)) == {1}
    assert set(drawn([0, 1], 1)) == {0}


def test_partners_survive_pickling_and_follow_the_global_generator() -> None:
    partners = make(CLASSES).partners(CLASSES)
    assert partners is not None
    copy = pickle.loads(pickle.dumps(partners))
    random.seed(3)
    first = [partners(row) for row in range(12)]
    random.seed(3)
    assert [copy(row) for row in range(12)] == first


def test_pairs_have_no_partners_and_their_parts_are_separate() -> None:
    pairs, classes = make(NUMBERS, ("x", "z")), make(CLASSES)
    assert pairs.separate and pairs.partners(NUMBERS) is None
    assert not classes.separate


def test_the_cosine_loss_is_the_squared_error_of_the_cosine() -> None:
    first, second = torch.randn(2, 9, 4)
    alike = torch.rand(9)
    expected = F.mse_loss(F.cosine_similarity(first, second), alike)
    assert torch.allclose(cosine_loss(F.cosine_similarity(first, second), alike, 0.5).mean(), expected)
    assert cosine_loss(torch.tensor([0.5]), torch.tensor([1.0]), 0.5).tolist() == [0.25]


def test_the_contrastive_loss_by_hand() -> None:
    cosine, alike = torch.tensor([0.75, 0.75, 0.25]), torch.tensor([1.0, 0.0, 0.0])
    # distances 0.25, 0.25, 0.75: alike 0.25**2 / 2; not alike (0.5 - 0.25)**2 / 2; beyond the margin nothing
    assert contrastive_loss(cosine, alike, 0.5).tolist() == [0.03125, 0.03125, 0.0]
    assert contrastive_loss(cosine, alike, 1.0).tolist() == [0.03125, 0.28125, 0.03125]


def test_the_contrastive_loss_of_examples_is_hadsells() -> None:
    head = make([0, 1, 1, 0], ("x", "z"), loss="contrastive", margin=0.8)
    pooled = torch.randn(8, 6)
    cosine = F.cosine_similarity(pooled[0::2], pooled[1::2])
    expected = [
        (1 - c) ** 2 if t else max(0.8 - (1 - c), 0) ** 2 for c, t in zip(cosine.tolist(), (0, 1, 1, 0), strict=True)
    ]
    total, count = head.loss(head(Features(pooled=pooled)), head.encode([0, 1, 1, 0]))
    assert (total.item(), count.item()) == (pytest.approx(sum(expected) / 2), 4)


def test_similarity_is_the_cosine_between_the_least_and_the_most_of_train() -> None:
    head = make([1.0, 3.0], ("x", "z"), width=2)
    outputs = head(unit(0, 0, 0, 60, 10, 100, 0, 180))
    assert outputs.tolist() == pytest.approx([1, 0.5, 0, -1], abs=1e-6)
    assert head.scores(outputs).tolist() == pytest.approx([3, 2, 1, -1], abs=1e-5)
    assert head.predict(outputs[1:2]) == [{"value": pytest.approx(2), "cosine": pytest.approx(0.5)}]
    total, count = head.loss(outputs, head.encode([3.0, "2", 2, 1]))
    assert (total.item(), count.item()) == (pytest.approx(0 + 0 + 0.25 + 1), 4)


def test_the_loss_with_partners_is_that_of_the_pair_and_the_mean_entropy_of_its_members() -> None:
    head = make(CLASSES, width=2)
    torch.nn.init.normal_(head.linear.weight)
    outputs = head(unit(0, 60, 0, 90))
    targets = torch.tensor([[0, 0], [1, 2]])
    entropy = F.cross_entropy(outputs["logits"], torch.tensor([0, 0, 1, 2]), reduction="none")
    total, count = head.loss(outputs, targets)
    assert total.item() == pytest.approx(0.25 + 0.0 + entropy.view(2, 2).mean(1).sum().item())
    assert count.item() == 2


def test_without_partners_the_loss_is_the_cross_entropy_alone() -> None:
    head = make(CLASSES).eval()
    torch.nn.init.normal_(head.linear.weight)
    truth = head.encode(CLASSES)
    outputs = head(Features(pooled=torch.randn(12, 6)))
    total, count = head.loss(outputs, truth)
    assert torch.allclose(total / count, F.cross_entropy(outputs, truth))


@pytest.mark.parametrize("loss", ["cosine", "contrastive"])
@pytest.mark.parametrize("pairs", [True, False])
def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole(pairs: bool, loss: str) -> None:
    head = make([0, 1] * 5, ("x", "z"), loss=loss) if pairs else make(CLASSES, loss=loss)
    truth = head.encode([0, 1] * 5) if pairs else torch.randint(3, (10, 2))
    pooled = torch.randn(20, 6)

    def of(start: int, end: int) -> torch.Tensor:
        return torch.stack(head.loss(head(Features(pooled=pooled[2 * start : 2 * end])), truth[start:end]))

    assert torch.allclose(of(0, 3) + of(3, 10), of(0, 10))


@pytest.mark.parametrize("options", [{}, {"loss": "contrastive", "margin": 1.0}, {"dimensions": 8, "dropout": 0.1}])
def test_few_examples_are_learnt(options: dict[str, Any]) -> None:
    head = make(CLASSES, width=12, **options)
    truth = head.encode(CLASSES)
    raw = torch.randn(12, 12)  # twelve points in as many dimensions
    backbone = torch.nn.Linear(12, 12)
    partners = head.partners(CLASSES)
    assert partners is not None
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=0.01)
    losses = []
    random.seed(0)
    for _ in range(200):
        rows = [member for row in range(12) for member in (row, partners(row))]
        total, count = head.loss(head(Features(pooled=backbone(raw[rows]))), truth[rows].view(-1, 2))
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append((total / count).item())
    assert sum(losses[-5:]) < 0.4 * sum(losses[:5])
    outputs = head.eval()(Features(pooled=backbone(raw)))
    assert [found["class"] for found in head.predict(outputs)] == CLASSES


@pytest.mark.parametrize("dimensions", [None, 4])
def test_similarity_is_learnt(dimensions: int | None) -> None:
    head = make([0, 1] * 4, ("x", "z"), dimensions=dimensions)
    backbone = torch.nn.Linear(6, 6)
    raw, truth = torch.randn(16, 6), head.encode([0, 1] * 4)
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(100):
        total, count = head.loss(head(Features(pooled=backbone(raw))), truth)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append((total / count).item())
    assert losses[-1] < 0.3 * losses[0]


def test_probabilities_are_named_as_by_the_classifier() -> None:
    head = make(CLASSES)
    outputs = torch.tensor([[0.0, 2.0, 0.0]])
    (found,) = head.predict(outputs)
    assert found["class"] == "b" and found["score"] == found["scores"]["b"]
    assert head.scores(outputs)[0].tolist() == pytest.approx(list(found["scores"].values()))


def test_a_projection_makes_embeddings_as_wide_as_was_asked_for() -> None:
    assert make(CLASSES, dimensions=4)(Features(pooled=torch.randn(2, 6)))["embeddings"].shape == (2, 4)


def test_tokens_are_pooled_without_padding() -> None:
    head = make(NUMBERS, ("x", "z"), width=2, pooling="mean")
    assert head.needs == {"tokens"}
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 2.0], [9.0, -9.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    assert head(Features(tokens=tokens, mask=mask)).tolist() == pytest.approx([1.0])


def test_the_input_says_what_is_compared() -> None:
    pairs, classes = read(NUMBERS, ("x", "z"), test=[6.0]), read(CLASSES, "x")
    assert (pairs.kind, classes.kind) == ("numbers", "classes")
    assert dict(pairs.details) == {"mode": "pairs", "least": 0.0, "most": 5.0, "distinct": 6}
    assert classes.classes == ("a", "b", "c") and classes.details["mode"] == "classes"


@pytest.mark.parametrize(
    ("column", "inputs", "message"),
    [
        ([n / 3 for n in range(60)], "x", "60 distinct numbers.*wants classes, or two input columns with a number"),
        (NUMBERS, ("x", "z", "w"), "3 input columns; the head 'embedder' wants classes, or two input columns"),
        (["yes", "no"], ("x", "z"), "row 0.*'yes', not a number"),
        ([1.0, 1.0], ("x", "z"), "nothing to learn"),
        ([0.0, None], ("x", "z"), "row 1: the target 'y' is missing"),
        (["a", "a"], "x", "only one class in train"),
    ],
)
def test_targets_that_do_not_fit_are_told_with_what_does(column: list[Any], inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(column, inputs)


def test_a_stream_is_refused() -> None:
    stream = Stream(2, lambda seed, start: iter(()), ["x", "y"])
    with pytest.raises(DataError, match="here: the head 'embedder' cannot use a stream"):
        read_embedder(Dataset({"train": stream}, "x", "y", origin="here"), {"loss": "cosine"})


def test_the_contrastive_loss_wants_pairs_that_are_alike_or_not() -> None:
    verify_embedder(read([0, 1, 1], ("x", "z")), {"loss": "contrastive"})
    verify_embedder(read(NUMBERS, ("x", "z")), {"loss": "cosine"})
    verify_embedder(read(CLASSES, "x"), {"loss": "contrastive"})
    with pytest.raises(ValueError, match=r"^loss contrastive wants .* found 5 different numbers; write loss: cosine"):
        verify_embedder(read(NUMBERS, ("x", "z")), {"loss": "contrastive"})


def test_classes_do_not_reach_the_backbone_and_pairs_do() -> None:
    head = make(CLASSES)
    torch.nn.init.normal_(head.linear.weight)
    pooled = torch.randn(4, 6, requires_grad=True)
    outputs = head(Features(pooled=pooled))
    outputs["embeddings"].sum().backward()
    assert pooled.grad is not None and pooled.grad.abs().sum() > 0
    assert not outputs["logits"].detach().eq(0).all()
    (reached,) = torch.autograd.grad(outputs["logits"].sum(), pooled, allow_unused=True)
    assert reached is None


def train(inarch: Inarch, folder: Path, recipe: Path) -> list[dict[str, Any]]:
    """Train a recipe at the command line; return its predictions for the test split."""
    done = inarch("train", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    lines = (folder / "run" / "predictions" / "test.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_recipe_trains_classes_from_partners(inarch: Inarch, toy_recipe: Path, tmp_path: Path) -> None:
    toy_recipe.write_text(toy_recipe.read_text().replace("classifier", "embedder"))
    found = train(inarch, tmp_path, toy_recipe)
    assert sum(line["class"] == line["target"] for line in found) / len(found) >= 0.75


def test_a_recipe_trains_the_similarity_of_two_columns(inarch: Inarch, toy_recipe: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lines = ["left,right,likeness"]
    for left, right in generator.normal(size=(60, 2, 4)).round(3):
        likeness = 1 + left @ right / np.linalg.norm(left) / np.linalg.norm(right)
        lines.append(f"{' '.join(map(str, left))},{' '.join(map(str, right))},{likeness:.3f}")
    (tmp_path / "vectors.csv").write_text("\n".join(lines) + "\n")
    text = toy_recipe.read_text().replace("classifier", "embedder").replace("accuracy", "spearman")
    toy_recipe.write_text(text.replace("vector, target: class", "[left, right], target: likeness"))
    refused = inarch("train", toy_recipe, "strategy=linear_probe")
    assert refused.returncode == 2 and "Error: strategy: nothing is left to train" in refused.stderr
    found = train(inarch, tmp_path, toy_recipe)
    ranks = [np.argsort(np.argsort([float(line[name]) for line in found])) for name in ("target", "value")]
    assert np.corrcoef(ranks)[0, 1] > 0.5
