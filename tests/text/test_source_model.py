"""A run on texts as the source model of another: weights, vocabulary, and what was trained beside them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import inarch


def train(folder: Path, out: str, strategy: Any = "full", head: str = "classifier", **options: Any) -> Path:
    rows = [{"text": f"{text} {number}", "kind": kind, "mark": number % 5} for number in range(12)
            for text, kind in (("a good film", "good"), ("a bad one, and long", "bad"))]  # fmt: skip
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    target, metric = ("kind", "accuracy") if head == "classifier" else ("mark", "rmse")
    train = {"epochs": 1, "batch_size": 8, "learning_rate": 0.01, "workers": 0, "precision": "fp32"}
    whole = {
        "dataset": {"name": "table", "path": str(folder / "texts.jsonl"), "input": "text", "target": target},
        "backbone": {"name": "transformers", "model": str(folder / "model"), **options},
        "head": head, "strategy": strategy, "metrics": [metric], "train": train,
    }  # fmt: skip
    (folder / "recipe.json").write_text(json.dumps(whole))
    return inarch.train(folder / "recipe.json", out=folder / out).directory


def backbone_of(run: Path) -> dict[str, torch.Tensor]:
    state = load_file(run / "model" / "model.safetensors")
    return {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_a_run_on_texts_lends_its_backbone_to_the_bit_without_the_folder_that_it_came_from(
    tiny: Callable[[str], Path], tmp_path: Path, family: str
) -> None:
    shutil.copytree(tiny(family), tmp_path / "model")
    source = train(tmp_path, "source", pooling="attention")
    shutil.rmtree(tmp_path / "model")
    run = train(tmp_path, "run", "linear_probe", "regressor", weights=str(source), pooling="attention")
    own, theirs = backbone_of(run), backbone_of(source)
    assert own.keys() == theirs.keys() and "backbone.pooling.query" in own
    own.pop("backbone.pooling.query")  # a probe trains it as the head; it begins where the source model ended
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    raws = ["a film", "a long one"]
    for one, other in zip(inarch.load(run).predict(raws), inarch.load(run).predict(raws), strict=True):
        assert one == other


def test_the_vocabulary_is_that_of_the_source_model(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(tiny("bert"), tmp_path / "model")
    source = train(tmp_path, "source")
    vocabulary = (tmp_path / "model" / "tokenizer.json").read_text()
    (tmp_path / "model" / "tokenizer.json").write_text(vocabulary.replace('"good"', '"fair"'))
    run = train(tmp_path, "run", weights=str(source / "model"))
    kept = [json.loads((place / "model" / "backbone" / "tokenizer.json").read_text()) for place in (source, run)]
    assert kept[0] == kept[1] and "good" in kept[1]["model"]["vocab"]


def test_pooling_that_only_the_source_model_learnt_is_told_by_that_option(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(tiny("bert"), tmp_path / "model")
    source = train(tmp_path, "source", pooling="attention")
    with pytest.raises(inarch.WeightsError, match=r"unexpected: pooling.query. .* pooling attention there, mean here"):
        train(tmp_path, "run", weights=str(source))
    run = train(tmp_path, "other", weights=str(train(tmp_path, "plain", pooling="mean")), pooling="attention")
    assert "backbone.pooling.query" in backbone_of(run)


def test_adapters_trained_on_a_source_model_open_on_it_again(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(tiny("bert"), tmp_path / "model")
    source = train(tmp_path, "source")
    run = train(tmp_path, "run", {"name": "lora", "rank": 2}, weights=str(source))
    assert all(".lora_" in name for name in backbone_of(run))
    found = inarch.load(run).predict(["a good film"])
    assert found[0]["class"] in ("good", "bad")
    shutil.rmtree(source)
    with pytest.raises(inarch.WeightsError, match=r"needs the weights that they belong to: .*source"):
        inarch.load(run)
