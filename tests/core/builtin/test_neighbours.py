"""The head `knn`."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

import inarch
from inarch.builtin.heads import knn
from inarch.builtin.neighbours import TEMPERATURE
from inarch.interfaces.dataset import Targets


def make(labels: np.ndarray, size: int, **options: Any) -> inarch.Head:
    names = [str(number) for number in range(labels.max() + 1)]
    values = {name: number for number, name in enumerate(names)}
    targets = Targets("classes", tuple(names), {"train": np.bincount(labels).tolist()}, {"values": values})
    return knn(targets, size, **options).eval()


def clouds(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.random.default_rng(1).normal(size=(3, 6))
    return (centres[labels] + random.normal(size=(count, 6))).astype(np.float32), labels


@pytest.mark.parametrize("k", [1, 7])
def test_votes_are_those_of_scikit_learn(k: int) -> None:
    values, labels = clouds(90)
    asked, _ = clouds(20, seed=5)
    head = make(labels, 6, k=k)
    head.fit(torch.from_numpy(values), torch.from_numpy(labels))
    known = KNeighborsClassifier(k, metric="cosine", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE))
    expected = known.fit(values, labels).predict_proba(asked)
    shares = head.scores(head(inarch.Features(pooled=torch.from_numpy(asked)))).numpy()
    assert shares == pytest.approx(expected, abs=1e-4)


def test_votes_worked_by_hand() -> None:
    head = make(np.array([0, 1, 1]), 2, k=2)
    head.fit(torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]), torch.tensor([0, 1, 1]))
    outputs = head(inarch.Features(pooled=torch.tensor([[5.0, 5.0], [1.0, 0.0]])))
    less = np.exp(-1 / TEMPERATURE)
    assert head.scores(outputs).numpy() == pytest.approx(np.array([[0.5, 0.5], [1 / (1 + less), less / (1 + less)]]))
    total, count = head.loss(outputs, torch.tensor([0, 1]))
    assert count == 2 and float(total) == pytest.approx(np.log(2) + np.log(4), rel=1e-5)  # a share is at least 1 in 4


def test_k_is_chosen_by_leaving_each_example_out() -> None:
    values, labels = clouds(60)
    head = make(labels, 6)
    facts = head.fit(torch.from_numpy(values), torch.from_numpy(labels))
    assert facts is not None
    found = {}
    for k in (1, 5, 10, 20):
        right = 0
        for row in range(60):
            others = np.arange(60) != row
            one = make(labels, 6, k=k)
            one.fit(torch.from_numpy(values[others]), torch.from_numpy(labels[others]))
            right += int(one.scores(torch.from_numpy(values[[row]])).argmax()) == labels[row]
        found[k] = right / 60
    assert dict(facts["left_out"]) == pytest.approx(found)
    assert facts["neighbours"] == max(found, key=lambda k: (found[k], k))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_examples_have_few_neighbours(count: int) -> None:
    labels = np.array([0, 1, 1, 0])
    head = make(labels, 2, k="auto" if count > 1 else 9)
    facts = head.fit(torch.eye(4)[:count, :2] + 0.1, torch.from_numpy(labels[:count]))
    assert facts is not None and facts["neighbours"] == 1
    assert head.scores(torch.ones(2, 2)).sum(1).tolist() == pytest.approx([1, 1])


def test_a_run_remembers_train_and_its_bundle_answers_alike(toy_recipe: Path, tmp_path: Path) -> None:
    options = {"head": "knn", "strategy": "linear_probe"}
    result = inarch.train(toy_recipe, options, out=tmp_path / "run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    [line] = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert result.metrics["accuracy"].value >= 0.6 and result.parity < 1e-5
    assert (
        line["fit"]["neighbours"] in (1, 5, 10, 20) and results["frozen"][0]["before"] == results["frozen"][0]["after"]
    )
    bundle = inarch.load(tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions" / "test.jsonl").read_text().splitlines()]
    assert [found["class"] for found in bundle.predict([row["input"] for row in rows])] == [
        row["class"] for row in rows
    ]
    assert sum(Counter(bundle.model.head.numbers.tolist()).values()) == line["fit"]["examples"]


def test_long_inputs_are_answered_by_the_mean_of_their_windows(letters: Path, tmp_path: Path) -> None:
    options = {"head": "knn", "strategy": "linear_probe",
               "backbone": {"name": "letters", "prepared": False, "window": 8}}  # fmt: skip
    result = inarch.train(letters, options, out=tmp_path / "run")
    assert result.parity < 1e-5 and result.metrics["accuracy"].value > 0.5


@pytest.mark.parametrize("strategy", ["full", {"name": "linear_probe", "solver": "steps"}], ids=["full", "steps"])
def test_it_is_not_trained_by_steps(toy_recipe: Path, tmp_path: Path, strategy: Any) -> None:
    with pytest.raises(inarch.RecipeError, match=r"nothing (that steps could train|is left to train)"):
        inarch.train(toy_recipe, {"head": "knn", "strategy": strategy}, out=tmp_path / "run")
