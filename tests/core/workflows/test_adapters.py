"""Training with adapters, from the recipe to the bundle: the adapters' base is frozen, left out, and known again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Inarch
from inarch_toy.backbone import Vectors
from safetensors.torch import load_file, save_file

import inarch
from inarch.checkpoint import step_directory
from inarch.training.progress import Progress
from inarch.weights import fingerprint

INPUTS = ["1 2 3 4", "-1 0.5 0 2", "0 0 0 0"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a backbone whose norms have seen something."""
    return write_weights(tmp_path / "weights.safetensors", seed=3)


def write_weights(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    backbone = Vectors("none", 4, 8, 2, 0.0, True, 0.0, False, 0)
    backbone(vector=torch.randn(20, 4))
    save_file(backbone.state_dict(), path)
    return path


def options(weights: Path | str, **strategy: Any) -> dict[str, Any]:
    return {
        "strategy": "lora",
        **{f"strategy.{name}": value for name, value in strategy.items()},
        "backbone.norm": True,
        "backbone.dropout": 0.2,
        "backbone.weights": str(weights),
    }


def kept(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def ending(run: Path) -> tuple[str, list[Any], str]:
    """What a run ended with: its weights, its figures, its predictions."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return fingerprint(kept(run)), lines, (run / "predictions" / "test.jsonl").read_text()


def test_a_bundle_of_adapters_keeps_them_and_the_head_and_nothing_of_the_base(
    toy_recipe: Path, tmp_path: Path, weights: Path
) -> None:
    inarch.train(toy_recipe, options(weights, rank=2), out=tmp_path / "run")
    assert {name: tuple(tensor.shape) for name, tensor in kept(tmp_path / "run").items()} == {
        "backbone.blocks.0.0.lora_A.default.weight": (2, 4),
        "backbone.blocks.0.0.lora_B.default.weight": (8, 2),
        "backbone.blocks.1.0.lora_A.default.weight": (2, 8),
        "backbone.blocks.1.0.lora_B.default.weight": (8, 2),
        "head.linear.bias": (2,),
        "head.linear.weight": (2, 8),
    }
    description = json.loads((tmp_path / "run" / "model" / "bundle.json").read_text())
    assert description["strategy"]["name"] == "lora" and description["strategy"]["options"]["rank"] == 2
    assert description["base"]["tensors"] == len(load_file(weights))


@pytest.mark.parametrize("merge", [False, True])
def test_reloaded_outputs_have_the_bits_of_the_training_path(
    toy_recipe: Path, tmp_path: Path, weights: Path, merge: bool
) -> None:
    inarch.train(toy_recipe, options(weights, merge=merge), out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "results.json").read_text())["parity"] == 0.0
    first, again = (inarch.load(tmp_path / "run").outputs(INPUTS) for _ in range(2))
    assert torch.equal(first, again)


def test_adapters_and_head_alone_are_trained_and_norms_stand_still(
    toy_recipe: Path, tmp_path: Path, weights: Path
) -> None:
    inarch.train(toy_recipe, options(weights, rank=2), out=tmp_path / "run")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    [phase] = results["frozen"]
    assert phase["before"] == phase["after"] is not None
    assert results["parameters"]["trained"] == 2 * (4 + 8) + 2 * (8 + 8) + 8 * 2 + 2
    [last] = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1:]
    state = load_file(last / "model.safetensors")
    base = {
        name.removeprefix("backbone.").replace(".base_layer.", "."): tensor
        for name, tensor in state.items()
        if name.startswith("backbone.") and ".lora_" not in name
    }
    assert fingerprint(base) == fingerprint(load_file(weights))
    trained = [tensor for name, tensor in state.items() if ".lora_B." in name]
    assert len(trained) == 2 and all(tensor.abs().max() > 0 for tensor in trained)


def test_a_merged_bundle_is_a_usual_one_and_needs_neither_base_nor_peft(
    toy_recipe: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inarch.train(toy_recipe, options(weights, merge=True), out=tmp_path / "run")
    names = {name.removeprefix("backbone.") for name in kept(tmp_path / "run") if name.startswith("backbone.")}
    assert names == set(load_file(weights))
    assert "strategy" not in json.loads((tmp_path / "run" / "model" / "bundle.json").read_text())
    weights.unlink()
    monkeypatch.setattr("inarch.builtin.strategies.find_spec", lambda name: None)
    assert len(inarch.load(tmp_path / "run").predict(INPUTS)) == 3


def test_merging_changes_no_figure_but_in_the_last_bits(toy_recipe: Path, tmp_path: Path, weights: Path) -> None:
    for name, merge in (("apart", False), ("merged", True)):
        inarch.train(toy_recipe, options(weights, merge=merge), out=tmp_path / name)
    one, other = (inarch.load(tmp_path / name).outputs(INPUTS) for name in ("apart", "merged"))
    assert one.allclose(other, atol=1e-5)
    assert one.abs().max() > 0.01


def test_another_base_is_refused_and_a_missing_one_is_told(toy_recipe: Path, tmp_path: Path, weights: Path) -> None:
    inarch.train(toy_recipe, options(weights), out=tmp_path / "run")
    before = inarch.load(tmp_path / "run").outputs(INPUTS)
    weights.rename(tmp_path / "aside")
    with pytest.raises(inarch.WeightsError, match=r"keeps adapters, and needs the weights.*there is no such file"):
        inarch.load(tmp_path / "run")
    write_weights(weights, seed=4)
    with pytest.raises(inarch.WeightsError, match=rf"other weights than .*{weights}.*expected SHA-256 .*merge=true"):
        inarch.load(tmp_path / "run")
    (tmp_path / "aside").rename(weights)
    assert torch.equal(inarch.load(tmp_path / "run").outputs(INPUTS), before)


def test_a_base_whose_buffers_alone_differ_is_refused(toy_recipe: Path, tmp_path: Path, weights: Path) -> None:
    inarch.train(toy_recipe, options(weights), out=tmp_path / "run")
    state = load_file(weights)
    state["blocks.0.1.running_mean"] += 1e-6
    save_file(state, weights)
    with pytest.raises(inarch.WeightsError, match="other weights"):
        inarch.load(tmp_path / "run")


def test_random_weights_have_no_address_so_their_bundle_keeps_them(toy_recipe: Path, tmp_path: Path) -> None:
    inarch.train(toy_recipe, options("none"), out=tmp_path / "run")
    state = kept(tmp_path / "run")
    assert {"backbone.blocks.0.0.base_layer.weight", "backbone.blocks.1.0.base_layer.bias"} <= state.keys()
    torch.manual_seed(99)
    first = inarch.load(tmp_path / "run").outputs(INPUTS)
    assert torch.equal(inarch.load(tmp_path / "run").outputs(INPUTS), first)


def test_a_buffer_that_changed_is_kept(
    toy_recipe: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A counter beside what is frozen, as a backbone may have."""
    made, forward = Vectors.__init__, Vectors.forward

    def with_counter(self: Vectors, *arguments: Any) -> None:
        made(self, *arguments)
        self.register_buffer("seen", torch.tensor(0))

    def counting(self: Vectors, vector: torch.Tensor) -> inarch.Features:
        self.seen += self.training
        return forward(self, vector)

    monkeypatch.setattr(Vectors, "__init__", with_counter)
    monkeypatch.setattr(Vectors, "forward", counting)
    state = load_file(weights)
    save_file({**state, "seen": torch.tensor(0)}, weights)
    inarch.train(toy_recipe, options(weights), out=tmp_path / "run")
    assert {name for name in kept(tmp_path / "run") if ".lora_" not in name and not name.startswith("head.")} == {
        "backbone.seen"
    }
    seen = inarch.load(tmp_path / "run").model.backbone.seen
    assert seen == kept(tmp_path / "run")["backbone.seen"] > 0


@pytest.mark.parametrize("step", [1, 7, 12])
def test_a_run_with_adapters_resumed_from_any_step_ends_with_the_same_bits(
    toy_recipe: Path, tmp_path: Path, weights: Path, step: int
) -> None:
    whole, cut, aside = tmp_path / "whole", tmp_path / "cut", tmp_path / "aside"
    frequent = {"train.checkpoint_every": 1, "train.evaluate_every": 100, "train.ema": 0.9, "backbone.noise": 0.1}

    class Keep(Progress):
        def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
            made = step_directory(whole / "checkpoints", step)
            if made.exists() and not aside.exists():
                shutil.copytree(made, aside)

    inarch.train(toy_recipe, {**options(weights), **frequent}, out=whole, progress=Keep())
    if not aside.exists():  # the last step
        shutil.copytree(step_directory(whole / "checkpoints", step), aside)
    shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("step-*"))
    shutil.copytree(aside, step_directory(cut / "checkpoints", step))
    inarch.train(toy_recipe, {**options(weights), **frequent}, out=cut, resume=True)
    assert ending(cut) == ending(whole)


def test_the_command_line_trains_evaluates_and_predicts_with_adapters(
    toy_recipe: Path, tmp_path: Path, weights: Path, inarch: Inarch
) -> None:
    written = [f"{name}={value}" for name, value in options(weights).items()]
    assert inarch("train", toy_recipe, "--out", "run", *written).returncode == 0
    measured = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]["accuracy"]
    evaluated = inarch("evaluate", "run", "--json")
    assert json.loads(evaluated.stdout)["accuracy"] == measured
    (tmp_path / "more.csv").write_text("vector\n" + "\n".join(INPUTS))
    predicted = inarch("predict", "run/model", "more.csv", "--json")
    assert [json.loads(line)["input"] for line in predicted.stdout.splitlines()] == INPUTS
    weights.unlink()
    refused = inarch("predict", "run/model", "more.csv")
    assert refused.returncode == 2 and "Error: the bundle keeps adapters" in refused.stderr
