"""The recipes, shortened: a source model is trained on some countries, and others begin from it."""

import json
from pathlib import Path

import inarch
import pytest
from safetensors.torch import load_file

RECIPES = Path(__file__).parents[1] / "recipes"
SHORT = {"train.batch_size": 64, "train.workers": 0, "train.precision": "fp32"}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "fertility_source"
    return inarch.train(RECIPES / "fertility_source.yaml", {**SHORT, "train.epochs": 2}, out=out).directory


def target(source: Path, out: Path, **changed):
    options = {**SHORT, "train.epochs": 2, "backbone.weights": str(source), **changed}
    return inarch.train(RECIPES / "fertility_target.yaml", options, out=out)


def test_the_target_begins_from_the_source_model_and_its_control_does_not(source, tmp_path):
    tuned = target(source, tmp_path / "tuned")
    target(source, tmp_path / "scratch", strategy="scratch")
    assert 0 < tuned.metrics["mase"].low < tuned.metrics["mase"].value < tuned.metrics["mase"].high
    told, control = (json.loads((tmp_path / name / "environment.json").read_text()) for name in ("tuned", "scratch"))
    assert told["source"]["bundle"] == str(source / "model") and told["source"]["recipe"] == "fertility_source"
    assert "source" not in control and told["backbone_sha256"] != control["backbone_sha256"]


def test_a_probe_leaves_the_source_model_as_it_was(source, tmp_path):
    run = target(source / "model", tmp_path / "probe", strategy="linear_probe").directory
    own, theirs = (load_file(place / "model" / "model.safetensors") for place in (run, source))
    names = [name for name in own if name.startswith("backbone.")]
    assert len(names) > 20 and all(own[name].equal(theirs[name]) for name in names)


def test_a_bundle_forecasts_a_series_that_it_has_never_seen_in_its_own_units(source):
    [answer] = inarch.load(source).predict([[1000.0 + 3 * step for step in range(20)]])
    forecast = [step for [step] in answer["forecast"]]
    assert len(forecast) == 5 and all(1000 < step < 1200 for step in forecast)


def test_another_context_is_refused_by_that_option(source, tmp_path):
    with pytest.raises(inarch.WeightsError, match=r"of another shape: .*context 15 there, 18 here"):
        target(source, tmp_path / "run", **{"backbone.context": 18, "dataset.context": 18})
