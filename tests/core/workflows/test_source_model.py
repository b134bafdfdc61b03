"""A run's bundle as the weights of another: loaded to the bit, known again, refused where it does not fit."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Inarch
from core.conftest import Refused
from safetensors.torch import load_file

import inarch
from inarch.training.progress import Progress
from inarch.weights import fingerprint


@pytest.fixture
def source(toy_recipe: Path, tmp_path: Path) -> Path:
    """A finished run, of whose backbone batch norms have seen something."""
    return inarch.train(toy_recipe, {"backbone.norm": True, "seed": 7}, out=tmp_path / "source").directory


def options(weights: Path | str, **others: Any) -> dict[str, Any]:
    return {"backbone.weights": str(weights), "backbone.norm": True, **others}


def backbone_of(run: Path) -> dict[str, torch.Tensor]:
    state = load_file(run / "model" / "model.safetensors")
    return {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}


def environment(run: Path) -> dict[str, Any]:
    return json.loads((run / "environment.json").read_text())


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize("inside", ["", "model"])
def test_the_backbone_of_a_run_is_taken_bit_for_bit_with_another_head(
    toy_recipe: Path, tmp_path: Path, source: Path, inside: str
) -> None:
    changed = options(source / inside, **{"dataset.target": "number", "head": "regressor", "strategy": "linear_probe",
                                          "metrics": ["rmse"]})  # fmt: skip
    inarch.train(toy_recipe, changed, out=tmp_path / "run")
    own, theirs = backbone_of(tmp_path / "run"), backbone_of(source)
    assert own.keys() == theirs.keys() and "backbone.blocks.0.1.running_var" in own
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    told = environment(tmp_path / "run")
    assert told["source"] == {
        "bundle": str(source / "model"),
        "recipe": "toy",
        "weights_sha256": json.loads((source / "model" / "bundle.json").read_text())["weights_sha256"],
        "differs": {},
    }
    assert told["backbone_sha256"] == fingerprint({name[9:]: tensor for name, tensor in theirs.items()})


def test_a_run_writes_down_the_whole_path_of_its_source_model(
    toy_recipe: Path, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inarch.train(toy_recipe, options("source"), out=tmp_path / "run")
    assert f"weights: {source / 'model'}" in (tmp_path / "run" / "recipe.yaml").read_text()
    monkeypatch.chdir("/")
    again = inarch.train(tmp_path / "run" / "recipe.yaml", out=tmp_path / "again")
    assert fingerprint(backbone_of(again.directory)) == fingerprint(backbone_of(tmp_path / "run"))


def test_the_source_model_and_options_that_were_other_there_are_told(
    toy_recipe: Path, tmp_path: Path, source: Path
) -> None:
    told = Told()
    inarch.train(toy_recipe, options(source, **{"backbone.noise": 0.5}), out=tmp_path / "run", progress=told)
    assert f"source model: {source / 'model'}, trained by 'toy'" in told.lines
    assert "the source model had other options: noise 0.0 there, 0.5 here" in told.lines
    assert environment(tmp_path / "run")["source"]["differs"] == {"noise": [0.0, 0.5]}


def test_a_control_with_random_weights_takes_none_of_its_source_model(
    toy_recipe: Path, tmp_path: Path, source: Path
) -> None:
    inarch.train(toy_recipe, options(source, strategy="scratch"), out=tmp_path / "run")
    inarch.train(toy_recipe, {"backbone.norm": True, "strategy": "scratch"}, out=tmp_path / "plain")
    assert fingerprint(backbone_of(tmp_path / "run")) == fingerprint(backbone_of(tmp_path / "plain"))
    assert "source" not in environment(tmp_path / "run")


def test_adapters_merged_into_the_weights_make_a_source_model_and_others_are_refused(
    toy_recipe: Path, tmp_path: Path, source: Path
) -> None:
    adapted = options(source, strategy="lora")
    apart = inarch.train(toy_recipe, adapted, out=tmp_path / "apart").directory
    assert inarch.load(apart).classes == ("cold", "warm")  # it opens on top of its own source model
    with pytest.raises(inarch.WeightsError, match=r"holds adapters apart .* strategy.merge=true"):
        inarch.train(toy_recipe, options(apart), out=tmp_path / "refused")
    merged = inarch.train(toy_recipe, adapted | {"strategy.merge": True}, out=tmp_path / "merged").directory
    probe = inarch.train(toy_recipe, options(merged, strategy="linear_probe"), out=tmp_path / "probe").directory
    assert fingerprint(backbone_of(probe)) == fingerprint(backbone_of(merged)) != fingerprint(backbone_of(source))


def test_parameters_that_no_pretraining_made_are_taken_where_the_source_model_has_them(
    letters: Path, tmp_path: Path
) -> None:
    first = inarch.train(letters, {"backbone.scaled": True}, out=tmp_path / "first").directory
    trained = backbone_of(first)
    [fresh] = trained.keys() - backbone_of(inarch.train(letters, out=tmp_path / "without").directory).keys()
    told = {"strategy": "linear_probe", "strategy.solver": "steps", "train.learning_rate": 1e-9}
    second = inarch.train(
        letters, told | {"backbone.weights": str(first), "backbone.scaled": True}, out=tmp_path / "second"
    )
    assert torch.allclose(backbone_of(second.directory)[fresh], trained[fresh], atol=1e-6)
    third = inarch.train(
        letters, told | {"backbone.weights": str(tmp_path / "without"), "backbone.scaled": True}, out=tmp_path / "third"
    )
    assert fresh in backbone_of(third.directory)  # as it begins, for that run had none


def test_weights_that_do_not_fit_are_told_with_the_options_that_differ(
    toy_recipe: Path, tmp_path: Path, source: Path
) -> None:
    with pytest.raises(
        inarch.WeightsError,
        match=r"the source model .*: the weights do not fit the model; .* of another shape: "
        r".*Its options differ: width 8 there, 5 here",
    ):
        inarch.train(toy_recipe, options(source, **{"backbone.width": 5}), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_check_tells_the_source_model(toy_recipe: Path, source: Path, inarch: Inarch) -> None:
    done = inarch("check", toy_recipe, f"backbone.weights={source}", "backbone.norm=true")
    assert done.returncode == 0 and f"source model: {source / 'model'}, trained by 'toy'" in done.stdout


def test_a_missing_source_model_is_a_mistake(toy_recipe: Path, tmp_path: Path, refused: Refused) -> None:
    told = refused("check", toy_recipe, f"backbone.weights={tmp_path / 'sourse'}")
    assert told.endswith("sourse: there is no such file or folder") and "backbone.weights" in told


def test_a_damaged_source_model_is_a_mistake(toy_recipe: Path, source: Path, refused: Refused) -> None:
    path = source / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    told = refused("check", toy_recipe, f"backbone.weights={source}", "backbone.norm=true")
    assert told.endswith("the bundle is damaged and is not used: model.safetensors does not match its hash")


def test_a_source_model_without_its_description_is_damaged(toy_recipe: Path, source: Path, refused: Refused) -> None:
    (source / "model" / "bundle.json").unlink()
    assert "is damaged and is not used: bundle.json is missing" in refused(
        "check", toy_recipe, f"backbone.weights={source}"
    )


def test_a_run_that_has_not_ended_is_no_source_model(toy_recipe: Path, source: Path, refused: Refused) -> None:
    shutil.rmtree(source / "model")
    assert "the run has no bundle yet" in refused("check", toy_recipe, f"backbone.weights={source}")


def test_a_source_model_of_another_builder_is_refused_before_training(
    letters: Path, source: Path, refused: Refused
) -> None:
    told = refused("train", letters, f"backbone.weights={source}")
    assert "holds a backbone 'vectors', the recipe names 'letters'" in told


def test_a_run_is_not_resumed_on_another_source_model(toy_recipe: Path, tmp_path: Path, source: Path) -> None:
    ended = inarch.train(toy_recipe, options(source), out=tmp_path / "run")
    again = inarch.train(toy_recipe, options(source), out=tmp_path / "run", resume=True)
    assert again.metrics == ended.metrics
    shutil.rmtree(source)
    inarch.train(toy_recipe, {"backbone.norm": True, "seed": 8}, out=source)
    with pytest.raises(inarch.RunError, match="the run began with another source model"):
        inarch.train(toy_recipe, options(source), out=tmp_path / "run", resume=True)


def test_a_source_model_is_ranked_beside_others(toy_recipe: Path, source: Path, tmp_path: Path) -> None:
    written = [f"{{name: vectors, norm: true, weights: {source}}}", "{name: vectors, norm: true}"]
    ranking = inarch.rank(toy_recipe, written, out=tmp_path / "ranking")
    assert not ranking.failed and len(ranking.places) == 2
