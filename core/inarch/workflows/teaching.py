"""A training that learns from a teacher: its bundle is opened, compared with the recipe, and asked once."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from inarch import bundle
from inarch.bundle import Bundle
from inarch.data.loaders import Examples, worker_count
from inarch.errors import RecipeError, RunError, WeightsError, listing
from inarch.evaluation import evaluate
from inarch.interfaces.backbone import Backbone, Features
from inarch.interfaces.dataset import Dataset, Stream
from inarch.interfaces.head import Head
from inarch.interfaces.strategy import Answers, Lesson, Strategy
from inarch.model import Model
from inarch.recipe import Recipe
from inarch.training.job import evaluation_batch_size
from inarch.workflows.check import Checked


def open_teacher(strategy: Strategy) -> Bundle | None:
    """Open the bundle that a strategy learns from, if it does; it draws from torch's generator, so this comes first."""
    if strategy.teacher is None:
        return None
    try:
        return bundle.load(strategy.teacher)
    except (RunError, WeightsError) as error:
        raise type(error)(f"strategy.teacher: {error}") from None


def describe(teacher: Bundle) -> dict[str, Any]:
    """Return plain facts about a teacher: where it is, what it is, and the fingerprint of its weights."""
    told = teacher.description
    return {
        "bundle": str(teacher.directory),
        "backbone": told["backbone"]["name"],
        "model": told["backbone"]["options"].get("model"),
        "recipe": told.get("recipe"),
        "weights_sha256": told["weights_sha256"],
    }


def refuse_another(directory: Path, facts: Mapping[str, Any]) -> None:
    """Raise if a run that is resumed began with another teacher or source model than `facts` say."""
    written = directory / "environment.json"
    if not facts or not written.is_file():
        return
    before = json.loads(written.read_text(encoding="utf-8"))
    for key, what in (("teacher", "teacher"), ("source", "source model")):
        now = facts.get(key)
        if now and before.get(key, now)["weights_sha256"] != now["weights_sha256"]:
            raise RunError(
                f"{directory}: the run began with another {what}: the weights in {now['bundle']} have changed since; "
                "begin anew with another --out"
            )


def make_lesson(
    strategy: Strategy, teacher: Bundle, checked: Checked, model: Model, accelerator: Accelerator
) -> Lesson | None:
    """Return what the teacher changes in the loss; it answers to all of train, every process to a part."""
    dataset = _as_taught(checked.dataset, teacher.description["input"])
    model.to(accelerator.device)
    teacher.model.to(accelerator.device)

    def ask(backbone: Backbone, head: Head) -> Answers:
        return _ask(backbone, head, dataset if backbone is teacher.model.backbone else checked.dataset,
                    checked.recipe, accelerator)  # fmt: skip

    student = model.backbone, model.head
    return strategy.lesson(student, (teacher.model.backbone, teacher.model.head), ask)


def _as_taught(dataset: Dataset, columns: str | list[str]) -> Dataset:
    """Return the data set with its input columns in the order in which a bundle takes them."""
    if isinstance(dataset.splits["train"], Stream):
        raise RecipeError("strategy: a teacher's answers are kept for each row, and a stream has no rows to keep")
    single = isinstance(columns, str)
    if single != isinstance(dataset.input, str) or (not single and {*columns} != {*dataset.inputs}):
        wanted = "one input" if single else f"the columns {listing(columns)}"
        raise RecipeError(f"strategy.teacher: it takes {wanted}; the recipe's input is {listing(dataset.inputs)}")
    return dataset if single else replace(dataset, input=tuple(columns))


def _ask(backbone: Backbone, head: Head, dataset: Dataset, recipe: Recipe, accelerator: Accelerator) -> Answers:
    """Return a model's answers to train, through its own pipeline and evaluation's exact path."""
    model = Model(backbone, _Witness(head))
    examples = Examples(dataset, "train", backbone, model.head, recipe.seed, recipe.on_error == "skip")
    workers = worker_count(recipe.train.workers, accelerator.device.type != "cpu", training=False)
    seen = evaluate(model, examples, evaluation_batch_size(recipe), accelerator, workers)
    # clones, for what inference mode made cannot take part in training
    return Answers(seen.rows, seen.outputs["outputs"].clone(), seen.outputs["features"].clone())


class _Witness(Head):
    """A head's outputs and the pooled features that they are made from; there is nothing to learn."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head, self.needs = head, head.needs

    def encode(self, targets: Any) -> Tensor:
        """Return nothing of the targets."""
        return torch.zeros(len(targets))

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return outputs (B, ...) and features (B, D); D is 0 where none are pooled."""
        outputs: Tensor = self.head(features)
        pooled = outputs.new_zeros(len(outputs), 0) if features.pooled is None else features.pooled
        return {"outputs": outputs, "features": pooled}

    def loss(self, outputs: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return no loss."""
        return torch.zeros(()), torch.ones(())

    def scores(self, outputs: Any) -> Tensor:
        """Return the head's outputs."""
        found: Tensor = outputs["outputs"]
        return found

    def predict(self, outputs: Any) -> list[dict[str, Any]]:
        """Return nothing to read."""
        return [{} for _ in outputs["outputs"]]
