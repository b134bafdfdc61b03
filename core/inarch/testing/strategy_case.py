"""A strategy with one of its trials: what it makes of a small backbone, and small trainings of the real loop."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from safetensors.torch import load_file
from torch import Tensor

from inarch.checkpoint import step_directory
from inarch.document import Document
from inarch.interfaces.strategy import Strategy
from inarch.plugins import build
from inarch.recipe import Recipe, Train, parse
from inarch.schema import bind
from inarch.testing import practice
from inarch.testing.cases import ComponentCase
from inarch.testing.check import Seen, skip
from inarch.training.optimization import trained_rates
from inarch.workflows import start
from inarch.workflows.check import check
from inarch.workflows.train import train

A_RUN = "runs/first"
"""In a trial's options: the folder of a run of the same model, which the kit trains."""
RATE = 0.01
_TRAINED: dict[Any, "Trained"] = {}
"""By builder, trial and name: classes of tests make a case for every check."""


@dataclass(frozen=True)
class Trained:
    """A small training, and what it began from."""

    run: Path
    results: Mapping[str, Any]
    before: Mapping[str, Tensor]
    """The model's state when the first step was taken."""
    after: Mapping[str, Tensor]
    """Its state when the last step had been taken, before anything was merged or combined."""
    frozen: frozenset[str]
    """Names of parameters and buffers of the backbone that stand still in every phase."""
    trains: frozenset[str]
    """Names of parameters of the backbone that some phase trains."""


@dataclass(frozen=True, eq=False)
class StrategyCase(ComponentCase):
    """A strategy with one of its trials."""

    @property
    def options(self) -> dict[str, Any]:
        """The trial's options as a recipe's are; where they name the kit's run, it is there."""
        options = super().options
        here = str(Path(A_RUN).absolute())
        renamed: dict[str, Any] = _renamed(options, here, "")
        return options if renamed == options else _renamed(options, here, str(a_run()))

    def built(self, options: Mapping[str, Any] | None = None) -> Strategy:
        """Build it anew."""
        found: Strategy = build(self.entry, self.options if options is None else options)
        if not isinstance(found, Strategy):
            raise Seen(f"{self.entry.build.__name__} returned {type(found).__name__}, not an inarch.Strategy")
        return found

    def in_phases(self) -> Strategy:
        """Build it; skip the check where it is a ladder, whose rungs have phases."""
        found = self.built()
        return skip("it is a ladder: its rungs have phases") if found.ladder(Train(epochs=6)) else found

    def backbone(self, depth: int = practice.DEPTH, still: bool = False) -> practice.Practice:
        """Return the kit's backbone with its weights, in evaluation mode."""
        torch.manual_seed(0)
        made = practice.practice(weights=str(practice.weights(depth, still)), depth=depth, still=still)
        made.load_weights()
        return made.eval()

    def built_with(self, name: str, value: Any) -> Strategy:
        """Build it with another value of one option; one that its annotation does not allow is a RecipeError."""
        document = Document(f"the trial of {self.label}", {})
        return self.built({**self.options, **bind(self.entry.build, {**self.trial.options, name: value}, document, ())})

    def learnt(self) -> float:
        """Return the loss, on examples that were not trained on, of a training; of a ladder's as a whole, too."""
        if not self.built().ladder(Train(epochs=6)):
            return float(self.trained.results["loss"])
        with practice.registered():
            asked = recipe({"name": self.entry.name, **self.options})
            run = train(asked, out=practice.folder() / f"{self.entry.name}-{self.trial.name}-ladder").directory
        return float(json.loads((run / "results.json").read_text(encoding="utf-8"))["loss"])

    @property
    def trained(self) -> Trained:
        """A small training, which several checks look at."""
        return self.train("trained")

    def train(self, name: str, still: bool = False, **changes: Any) -> Trained:
        """Train the kit's model for a few epochs by the real loop."""
        self.in_phases()
        key = self.entry.build, self.label, name
        if key not in _TRAINED:
            directory = practice.folder() / str(len(_TRAINED))
            _TRAINED[key] = trained(recipe({"name": self.entry.name, **self.options}, still, **changes), directory)
        return _TRAINED[key]


def recipe(strategy: Any, still: bool = False, **changes: Any) -> Recipe:
    """Return the recipe of a training of the kit's model. changes: of `train`."""
    usual = {"epochs": 5, "batch_size": 8, "learning_rate": RATE, "workers": 0, "precision": "fp32"}
    return parse(Document("the kit's recipe", {
        "name": "practice",
        "dataset": {"name": "table", "path": str(practice.data()), "input": "vector", "target": "class"},
        "backbone": {"name": practice.NAME, "weights": str(practice.weights(still=still)), "still": still},
        "head": "classifier",
        "strategy": strategy,
        "metrics": [practice.METRIC],
        "train": {**usual, **changes},
    }))  # fmt: skip


def trained(asked: Recipe, directory: Path) -> Trained:
    """Train a recipe of the kit's by the real loop, and look at what the model was before and after."""
    with practice.registered():
        checked = check(asked)
        strategy = start.build_strategy(checked)
        set_seed(asked.seed)
        model = start.build_model(checked)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        phases = strategy.phases(model.backbone, asked.train)
        stood = [frozenset(model.freeze(phase.frozen, phase.trains, phase.still_norms)) for phase in phases]
        trains = {name for phase in phases for name in trained_rates(model, phase)}
        train(asked, out=directory)
    results = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    after = load_file(step_directory(directory / "checkpoints", results["steps"]) / "model.safetensors")
    return Trained(directory, results, before, after, frozenset.intersection(*stood), frozenset(trains))


@cache
def a_run() -> Path:
    """Train the kit's model once, for strategies that read another run."""
    return trained(recipe("full", epochs=2), practice.folder() / "first").run


def _renamed(value: Any, old: str, new: str) -> Any:
    """Return options in which one text is another."""
    if isinstance(value, Mapping):
        return {key: _renamed(part, old, new) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_renamed(part, old, new) for part in value)
    return new if value == old else value
