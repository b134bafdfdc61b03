"""Distillation: the loss by hand, what a student learns, and what is refused before training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from conftest import write_vectors
from inarch_toy.backbone import MixedNumbers, Vectors

import inarch
from inarch import RecipeError, RunError
from inarch.builtin import lessons
from inarch.builtin.head_modules import Classifier, Multilabel, Regressor
from inarch.interfaces.dataset import Targets
from inarch.interfaces.strategy import Answers
from inarch.model import Model
from inarch.training.step import accumulate

CLASSES = Targets("classes", ("a", "b", "c"), {"train": [6, 3, 1]}, {"values": {"a": 0, "b": 1, "c": 2}})
LABELS = Targets("labels", ("a", "b", "c"), {"train": [6, 3, 1]}, {"values": {"a": 0, "b": 1, "c": 2}, "examples": 9})
NUMBERS = Targets("numbers", details={"mean": 10.0, "deviation": 2.0})
ROWS = [4, 0, 7]


def vectors(width: int = 8, **options: Any) -> Vectors:
    given = {"weights": "none", "size": 4, "depth": 1, "dropout": 0.0, "norm": False, "noise": 0.0, "mixup": False}
    return Vectors(**{**given, "width": width, "memory": 0, **options})


def classifier(targets: Targets = CLASSES, weights: str = "none", size: int = 8) -> Classifier:
    return Classifier(targets, size, 0.0, weights, None, 0.0, "pooled")


def lesson_of(head: Any, outputs: torch.Tensor, temperature: float, logits: float) -> Any:
    """A lesson from a teacher that answers `outputs` to rows 0 to 7."""
    answers = Answers(range(8), outputs, torch.zeros(8, 5))
    return lessons.prepare(
        (vectors(), head), (vectors(5), head), lambda backbone, head: answers, temperature, logits, 0
    )


def test_the_loss_of_a_classifier_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    head, theirs, outputs, targets = classifier(), torch.randn(8, 3), torch.randn(3, 3), torch.tensor([0, 2, 1])
    hard, _ = head.loss(outputs, targets)
    found = lesson_of(head, theirs, temperature=3.0, logits=0.7)(ROWS, outputs, targets, hard)
    soft = 0.0
    for row, own in zip(ROWS, outputs.double().numpy(), strict=True):
        p, q = (np.exp(values / 3) / np.exp(values / 3).sum() for values in (theirs[row].double().numpy(), own))
        soft += (p * np.log(p / q)).sum()
    expected = 0.3 * float(hard) + 0.7 * 9 * soft
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_class_weighs_in_the_lesson_what_it_weighs_in_the_loss() -> None:
    torch.manual_seed(0)
    head, theirs, outputs = classifier(weights="balanced"), torch.randn(8, 3), torch.randn(3, 3)
    targets, zero = torch.tensor([0, 2, 1]), torch.zeros(())
    alone = [
        lesson_of(classifier(), theirs, 1.0, 1.0)([row], outputs[[i]], targets[[i]], zero) for i, row in enumerate(ROWS)
    ]
    weighted = lesson_of(head, theirs, 1.0, 1.0)(ROWS, outputs, targets, zero)
    assert weighted == pytest.approx(float((torch.stack(alone) * head.weights[targets]).sum()), rel=1e-5)


def test_the_loss_of_labels_is_a_mean_of_two_sided_divergences() -> None:
    torch.manual_seed(0)
    head = Multilabel(LABELS, 8, 0.0, "none", 0.5, None, 0.0, "pooled")
    theirs, outputs = torch.randn(8, 3), torch.randn(3, 3)
    found = lesson_of(head, theirs, 2.0, 1.0)(ROWS, outputs, torch.zeros(3, 3), torch.zeros(()))
    p, q = (1 / (1 + np.exp(-values.double().numpy() / 2)) for values in (theirs[ROWS], outputs))
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert float(found) == pytest.approx(4 * divergence.mean(1).sum(), rel=1e-5)


def test_a_number_is_compared_in_its_own_unit_whatever_the_teacher_was_scaled_by() -> None:
    own = Regressor(NUMBERS, 8, "mse", None, 0.0, "pooled")
    other = Regressor(Targets("numbers", details={"mean": 0.0, "deviation": 5.0}), 5, "mse", None, 0.0, "pooled")
    answers = Answers(range(8), torch.full((8, 1), 2.4), torch.zeros(8, 5))  # 12 in the data's unit, 1 in the student's
    lesson = lessons.prepare((vectors(), own), (vectors(5), other), lambda backbone, head: answers, 1.0, 1.0, 0.0)
    outputs = torch.tensor([[1.0], [2.0], [0.0]])
    assert float(lesson(ROWS, outputs, torch.zeros(3), torch.zeros(()))) == pytest.approx(0 + 1 + 1, abs=1e-5)


def test_a_row_that_the_teacher_could_not_read_teaches_by_its_target_alone() -> None:
    head, outputs, targets = classifier(), torch.randn(2, 3), torch.tensor([0, 1])
    answers = Answers([0, 1], torch.randn(2, 3), torch.zeros(2, 5))
    lesson = lessons.prepare((vectors(), head), (vectors(5), head), lambda backbone, head: answers, 1.0, 0.5, 0.0)
    hard = torch.tensor(4.0)
    assert float(lesson([90, 91], outputs, targets, hard)) == 2.0
    assert float(lesson([1, 91], outputs, targets, hard)) == pytest.approx(
        float(lesson([1], outputs[:1], targets[:1], hard))
    )


def test_the_map_of_features_is_the_ridge_regression_that_it_says() -> None:
    random = np.random.default_rng(0)
    own = torch.from_numpy(random.normal(size=(200, 5)) * [1, 2, 3, 1, 1] + 4)
    theirs = own @ torch.from_numpy(random.normal(size=(5, 3))) + 7
    found = lessons.fit_map(own, torch.cat([theirs, torch.ones(200, 1)], 1))
    mapped = (own.float() - found.mean) @ found.weight * found.their_deviation + found.their_mean
    assert torch.allclose(mapped[:, :3], theirs.float(), atol=1e-3) and torch.allclose(mapped[:, 3], torch.ones(200))
    noise = lessons.fit_map(own, torch.from_numpy(random.normal(size=(200, 3))))
    assert noise.weight.abs().max() < 0.05 < found.weight.abs().max()  # what cannot be predicted is not


@pytest.mark.parametrize("features", [0.0, 0.8])
def test_gradients_are_equal_however_the_batch_is_cut(features: float) -> None:
    def gradients(micro_batch: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = Model(vectors(norm=False), classifier(weights="balanced")).double()
        teacher = vectors(5), classifier(size=5)
        vector, numbers = torch.randn(12, 4, dtype=torch.float64), list(range(12))
        theirs = Answers(numbers, torch.randn(12, 3), torch.randn(12, 5))
        own = Answers(numbers, torch.zeros(12, 3), model.backbone(vector=vector).pooled.detach().float())
        student = model.backbone, model.head
        ask = {id(teacher[0]): theirs, id(model.backbone): own}
        lesson = lessons.prepare(student, teacher, lambda b, h: ask[id(b)], 2.0, 0.6, features)
        targets = torch.tensor([2, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0])
        item = {"batch": {"vector": vector}, "targets": targets, "rows": numbers, "size": 12, "tokens": (12, 12)}
        scaler = torch.GradScaler("cpu", enabled=False)
        accelerator = Accelerator(cpu=True)
        total = accumulate(model, model, item, micro_batch, accelerator, "fp32", scaler, lesson)
        found = {name: parameter.grad / total[1] for name, parameter in model.named_parameters()}
        return {**found, "loss": total[0] / total[1]}

    whole, cut = gradients(12), gradients(5)
    assert all((whole[name] - cut[name]).norm() <= 1e-6 * whole[name].norm() for name in whole)
    assert all(whole[name].abs().max() > 0 for name in whole)


@pytest.fixture
def beginner(toy_recipe: Path, tmp_path: Path) -> dict[str, Any]:
    """A teacher that knows little, and options of a smaller student."""
    inarch.train(toy_recipe, {"train.epochs": 1, "train.batch_size": 32}, out=tmp_path / "teacher")
    return {"strategy": {"name": "distill", "teacher": str(tmp_path / "teacher")}, "backbone.width": 5}


@pytest.fixture
def taught(toy_recipe: Path, tmp_path: Path) -> dict[str, Any]:
    """A trained teacher, and options of a smaller student."""
    write_vectors(tmp_path / "many.csv", 300, seed=1)
    many = {"dataset.path": str(tmp_path / "many.csv"), "train.epochs": 8}
    inarch.train(toy_recipe, many, out=tmp_path / "teacher")
    return {**many, "strategy": {"name": "distill", "teacher": str(tmp_path / "teacher")}, "backbone.width": 5}


def test_a_smaller_student_learns_more_from_a_teacher_than_from_wrong_labels(
    toy_recipe: Path, tmp_path: Path, taught: dict[str, Any]
) -> None:
    lines = (tmp_path / "many.csv").read_text().splitlines()
    head, *rows = [line.split(",") for line in lines]
    wrong = np.random.default_rng(0).permutation([row[1] for row in rows])  # no label says anything
    spoilt = [",".join([row[0], name, *row[2:]]) for row, name in zip(rows, wrong, strict=True)]
    (tmp_path / "spoilt.csv").write_text("\n".join([",".join(head), *spoilt]) + "\n")
    given = {**taught, "dataset.path": str(tmp_path / "spoilt.csv"), "strategy.logits": 1.0}
    student = inarch.train(toy_recipe, given, out=tmp_path / "student")
    plain = {name: value for name, value in given.items() if not name.startswith("strategy")}
    alone = inarch.train(toy_recipe, plain, out=tmp_path / "alone")

    def right(run: Path) -> float:
        predicted = inarch.load(run).predict([row[0] for row in rows])
        return float(np.mean([one["class"] == row[1] for one, row in zip(predicted, rows, strict=True)]))

    assert right(student.directory) > 0.9 and right(alone.directory) < 0.8
    results = json.loads((student.directory / "results.json").read_text())
    description = json.loads((tmp_path / "teacher" / "model" / "bundle.json").read_text())
    environment = json.loads((student.directory / "environment.json").read_text())
    assert results["teacher"]["weights_sha256"] == description["weights_sha256"]
    assert environment["teacher"] == results["teacher"]


def test_a_student_with_hints_has_no_more_parameters_and_is_resumed_to_the_bit(
    toy_recipe: Path, tmp_path: Path, taught: dict[str, Any]
) -> None:
    given = {**taught, "strategy.features": 0.5, "train.epochs": 2, "train.ema": 0.9}
    whole = inarch.train(toy_recipe, given, out=tmp_path / "whole").directory
    cut = inarch.train(toy_recipe, given, out=tmp_path / "cut").directory
    for step in sorted((cut / "checkpoints").glob("step-*"))[1:]:
        for file in step.iterdir():
            file.unlink()
        step.rmdir()
    inarch.train(toy_recipe, given, out=cut, resume=True)
    names = {name for name, _ in inarch.load(whole).model.state_dict().items()}
    plain = inarch.train(toy_recipe, {"backbone.width": 5, "train.epochs": 1}, out=tmp_path / "plain")
    assert names == {name for name, _ in inarch.load(plain.directory).model.state_dict().items()}
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, cut)]
    assert weights[0] == weights[1]
    history = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert history[1]["train"]["loss"] < history[0]["train"]["loss"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset.classes": {"warm": ["warm"], "cold": ["cold"]}}, "it knows cold, warm; the data have warm, cold"),
        (
            {"dataset.target": "number", "head": "regressor", "metrics": ["mae"]},
            "its head is 'classifier', the recipe's",
        ),
        ({"backbone.mixup": True}, "cannot be used with mixup"),
        ({"strategy.teacher": "runs/nowhere"}, "strategy.teacher: .*no bundle here"),
        ({"dataset.input": ["vector"]}, "it takes one input; the recipe's input is vector"),
    ],
)
def test_a_teacher_that_does_not_fit_is_told_before_a_run_begins(
    toy_recipe: Path, tmp_path: Path, beginner: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    with pytest.raises((RecipeError, RunError), match=said):
        inarch.train(toy_recipe, {**beginner, **change}, out=tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_a_damaged_teacher_is_not_asked(toy_recipe: Path, tmp_path: Path, beginner: dict[str, Any]) -> None:
    (tmp_path / "teacher" / "model" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(RunError, match=r"strategy\.teacher: .*the bundle is damaged"):
        inarch.train(toy_recipe, beginner, out=tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_a_run_is_not_resumed_with_another_teacher(toy_recipe: Path, tmp_path: Path, beginner: dict[str, Any]) -> None:
    beginner["train.epochs"] = 1
    inarch.train(toy_recipe, beginner, out=tmp_path / "student")
    for path in sorted((tmp_path / "teacher").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    inarch.train(toy_recipe, {"train.epochs": 1}, out=tmp_path / "teacher")
    with pytest.raises(RunError, match="the run began with another teacher"):
        inarch.train(toy_recipe, beginner, out=tmp_path / "student", resume=True)


def test_what_mixes_examples_is_known_by_the_transform() -> None:
    assert isinstance(vectors(mixup=True).transform(True), MixedNumbers)
    with pytest.raises(RecipeError, match="mixup or cutmix"):
        lessons.prepare((vectors(mixup=True), classifier()), (vectors(5), classifier()), lambda b, h: None, 1.0, 1.0, 0)
