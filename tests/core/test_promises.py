"""Components that are not what they say they are: the run ends, and the message names the plugin and what was seen."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from inarch_toy.backbone import Vectors
from torchmetrics import Metric

import inarch
from inarch import plugins
from inarch.hookspecs import hookimpl
from inarch.plugins import Plugin

WHO = "of plugin 'liar' (liar-dist 2.0)"


@pytest.fixture
def liar() -> Iterator[Callable[..., None]]:
    """Let a plugin register a builder; it is gone after the test."""

    def register(kind: str, build: Callable[..., Any], **facts: Any) -> None:
        hook = hookimpl(lambda register: register("liar", build, **facts), specname=f"register_{kind}")
        found = SimpleNamespace(**{f"register_{kind}": hook})
        plugins.loaded().add(Plugin("liar", "liar", "liar-dist", "2.0"), found)

    yield register
    plugins.loaded().remove("liar")


def vectors(**change: Any) -> Vectors:
    made = Vectors("none", 4, 8, 2, 0.0, False, 0.0, False, 0)
    for name, value in change.items():
        setattr(made, name, value)
    return made


class Answers(Vectors):
    """A backbone whose features are changed."""

    def __init__(self, change: Callable[[inarch.Features], Any]) -> None:
        super().__init__("none", 4, 8, 2, 0.0, False, 0.0, False, 0)
        self.change = change

    def forward(self, vector: torch.Tensor) -> Any:
        return self.change(super().forward(vector))


BACKBONES = {
    "a wrong number of features": (
        lambda: vectors(num_features=9), "'pooled' of shape (8, 9) (num_features = 9); seen: (8, 8)"
    ),
    "features that are missing": (
        lambda: vectors(provides=frozenset({"pooled", "units"})),
        "provides = {pooled, units}; seen: features without units",
    ),
    "no Features": (
        lambda: Answers(lambda found: found.pooled), "forward() returns inarch.Features; seen: torch.Tensor"
    ),
    "one example less": (
        lambda: Answers(lambda found: found._replace(pooled=found.pooled[1:])), "(num_features = 8); seen: (7, 8)"
    ),
    "tokens in another order": (
        lambda: Answers(lambda found: found._replace(tokens=found.tokens.transpose(1, 2))),
        "'tokens' of shape (8, any, 8) (num_features = 8); seen: (8, 8, 3)",
    ),
    "a mask of other tokens": (
        lambda: Answers(lambda found: found._replace(mask=torch.ones(8, 4))), "'mask' of shape (8, 3); seen: (8, 4)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BACKBONES)
def test_a_backbone_that_lies_about_its_features_is_named_at_its_first_answer(
    case: str, liar, toy_recipe: Path, tmp_path: Path
) -> None:
    build, told = BACKBONES[case]
    liar("backbones", lambda: build(), domain="vector")
    with pytest.raises(inarch.PluginError) as error:
        inarch.train(toy_recipe, {"backbone": "liar"}, out=tmp_path / "run")
    assert str(error.value).startswith(f"the backbone 'liar' {WHO} breaks a promise: declared: ") and told in str(
        error.value
    )


def test_a_backbone_that_lies_is_named_where_its_features_are_stored(liar, toy_recipe: Path, tmp_path: Path) -> None:
    liar("backbones", lambda: vectors(num_features=9), domain="vector")
    with pytest.raises(inarch.PluginError, match=r"the backbone 'liar' of plugin 'liar'.*'pooled' of shape"):
        inarch.train(toy_recipe, {"backbone": "liar", "strategy": "linear_probe"}, out=tmp_path / "run")


OTHERS = {
    "backbones": (lambda: None, "returned None; expected an object of inarch.Backbone; does it end without `return`?"),
    "heads": (lambda targets, num_features: Vectors, "returned the class Vectors; expected an object of inarch.Head"),
    "datasets": (lambda: {"train": []}, "returned an object of builtins.dict; expected an object of inarch.Dataset"),
    "metrics": (lambda targets: Metric, "returned the class Metric; expected an object of torchmetrics.Metric; write "
                "`return Metric(...)`"),
    "strategies": (lambda: 3, "returned an object of builtins.int; expected an object of inarch.Strategy"),
}  # fmt: skip
KEYS = {"backbones": "backbone", "heads": "head", "datasets": "dataset", "metrics": "metrics", "strategies": "strategy"}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_builder_that_returns_something_else_is_named(kind: str, liar, toy_recipe: Path, tmp_path: Path) -> None:
    build, told = OTHERS[kind]
    facts = {"heads": {"read": _classes}, "metrics": {"kinds": ("classes",)}}.get(kind, {})
    liar(kind, build, **facts)
    with pytest.raises(inarch.PluginError) as error:
        inarch.train(toy_recipe, {KEYS[kind]: ["liar"] if kind == "metrics" else "liar"}, out=tmp_path / "run")
    assert f"plugin 'liar' (liar-dist 2.0): the builder of the {KEYS[kind].rstrip('s')} 'liar'" in str(error.value)
    assert told in str(error.value) and "test_promises.py, line " in str(error.value)


def _classes(dataset: inarch.Dataset) -> inarch.Targets:
    return plugins.loaded().components["heads"]["classifier"].facts["read"](dataset)


class Counts(Metric):
    """A metric that counts examples, and answers what it is told to."""

    def __init__(self, answer: Callable[[torch.Tensor], Any], keeps: bool = True) -> None:
        super().__init__()
        self.answer = answer
        if keeps:
            self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        else:
            self.total = torch.tensor(0.0)

    def update(self, scores: torch.Tensor, targets: torch.Tensor) -> None:
        self.total = self.total + len(targets)

    def compute(self) -> Any:
        return self.answer(self.total)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda total: torch.zeros(3), "compute() returns one number; seen: Tensor of shape (3,)"),
        (lambda total: {"total": total}, "compute() returns one number; seen: dict"),
        (lambda total: None, "compute() returns one number; seen: NoneType"),
        (lambda total: "0.5", "compute() returns one number; seen: str"),
    ],
)
def test_a_metric_that_is_no_number_is_named(answer, told: str, liar, toy_recipe: Path, tmp_path: Path) -> None:
    liar("metrics", lambda targets: Counts(answer), kinds=("classes",))
    with pytest.raises(inarch.PluginError) as error:
        inarch.train(toy_recipe, {"metrics": ["liar"]}, out=tmp_path / "run")
    assert f"the metric 'liar' {WHO} breaks a promise: declared: {told}" in str(error.value)


def test_a_metric_that_keeps_nothing_in_states_is_refused(liar, toy_recipe: Path, tmp_path: Path) -> None:
    liar("metrics", lambda targets: Counts(float, keeps=False), kinds=("classes",))
    with pytest.raises(inarch.PluginError, match=r"'liar' of plugin 'liar'.*in states, by add_state\(\); seen: none"):
        inarch.train(toy_recipe, {"metrics": ["liar"]}, out=tmp_path / "run")


def test_a_metric_in_order_is_a_number_whatever_kind_of_number_it_is(liar, toy_recipe: Path, tmp_path: Path) -> None:
    liar("metrics", lambda targets: Counts(lambda total: total[None]), kinds=("classes",))
    result = inarch.train(toy_recipe, {"metrics": ["liar"]}, out=tmp_path / "run")
    assert result.metrics["liar"].value > 0


class Plan(inarch.Strategy):
    """A strategy of given phases."""

    def __init__(self, plan: Callable[[int], Any]) -> None:
        self.plan = plan

    def phases(self, backbone: inarch.Backbone, train: Any) -> Any:
        return self.plan(len(backbone.layers()))


PLANS = {
    "one rate too many": (
        lambda layers: [inarch.Phase("p", 1, (0.1,) * (layers + 1), 0.1)],
        "one rate a layer of the backbone 'vectors' of plugin 'toy' (inarch-toy 1.0): 2; seen: phase 'p' with 3",
    ),
    "no phase": (lambda layers: [], "phases() returns a list of inarch.Phase; seen: []"),
    "nothing": (lambda layers: None, "phases() returns a list of inarch.Phase; seen: None"),
    "something else": (lambda layers: ["p"], "phases() returns a list of inarch.Phase; seen: ['p']"),
    "a rate below zero": (
        lambda layers: [inarch.Phase("p", 1, (0.1,) * layers, -0.1)],
        "None for a frozen layer; seen: phase 'p' with -0.1",
    ),
    "half an epoch": (
        lambda layers: [inarch.Phase("p", 0.5, (0.1,) * layers, 0.1)], "a whole number from 0; seen: phase 'p' with 0.5"
    ),
    "a parameter that is none": (
        lambda layers: [inarch.Phase("p", 1, (0.1,) * layers, 0.1, frozenset({"blocks.0.0.wieght"}))],
        "seen: phase 'p': unknown parameter 'blocks.0.0.wieght'. Did you mean 'blocks.0.0.weight'?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANS)
def test_phases_that_do_not_fit_the_layers_are_named(case: str, liar, toy_recipe: Path, tmp_path: Path) -> None:
    plan, told = PLANS[case]
    liar("strategies", lambda: Plan(plan))
    with pytest.raises(inarch.PluginError) as error:
        inarch.train(toy_recipe, {"strategy": "liar"}, out=tmp_path / "run")
    assert f"the strategy 'liar' {WHO} breaks a promise" in str(error.value) and told in str(error.value)


def test_a_run_tells_its_plugins_with_the_hooks_that_they_answered(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, out=tmp_path / "run")
    told = {p["name"]: p for p in json.loads((tmp_path / "run" / "environment.json").read_text())["plugins"]}
    toy = {"name": "toy", "distribution": "inarch-toy", "version": "1.0", "sha256": None,
           "hooks": ["register_backbones", "register_metrics"], "error": None, "disabled": None}  # fmt: skip
    assert told["toy"] == toy and {"core", "vision", "text", "audio"} < told.keys()
