"""Low-rank adapters in the families of transformers, and from the recipe to the bundle."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import inarch
from inarch.builtin.strategies import lora
from inarch.model import check_layers
from inarch.recipe import Train
from inarch.weights import fingerprint
from inarch_text import builders

FAMILIES = ["bert", "roberta", "deberta-v2", "distilbert", "modernbert", "albert", "gpt2", "llama", "t5", "bart"]
TEXTS = ["a good film", "a bad film, and a long one too", "the quick 🦊"]


def batch(backbone: Any) -> dict[str, torch.Tensor]:
    examples = backbone.prepare(TEXTS)
    return backbone.collate([examples[index] for index in range(len(TEXTS))])


def shake(backbone: torch.nn.Module) -> None:
    for name, parameter in backbone.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_linear_layer_of_a_family_is_adapted_used_and_merged(family: str, build: Callable[..., Any]) -> None:
    backbone, strategy = build(family), lora(rank=3, dropout=0.0, merge=True)
    inputs, names, depth = batch(backbone), list(backbone.state_dict()), len(backbone.layers())
    plain = backbone(**inputs).pooled.detach()
    strategy.adapt(backbone)
    assert backbone(**inputs).pooled.allclose(plain, atol=1e-6)  # torch takes another attention where a bias is frozen
    shake(backbone)
    assert len(check_layers(backbone)) == depth
    expected = backbone(**inputs).pooled
    expected.square().sum().backward()
    [phase] = strategy.phases(backbone, Train())
    own = dict(backbone.named_parameters())
    assert len(phase.trains or ()) >= 8
    assert all(own[name].grad is not None and own[name].grad.abs().max() > 0 for name in phase.trains or ())
    strategy.merge(backbone)
    assert list(backbone.state_dict()) == names
    assert backbone(**inputs).pooled.allclose(expected, atol=1e-4)
    assert not expected.allclose(plain, atol=1e-2)


def train(tiny: Callable[[str], Path], folder: Path, family: str, **options: Any) -> Path:
    """Train adapters on a tiny model in a folder of its own."""
    shutil.copytree(tiny(family), folder / "model")
    rows = [f'{{"text": "{text} {number}", "kind": "{kind}"}}' for number in range(12)
            for text, kind in (("a good film", "good"), ("a bad one, and long", "bad"))]  # fmt: skip
    (folder / "texts.jsonl").write_text("\n".join(rows))
    recipe = {
        "dataset": {"name": "table", "path": str(folder / "texts.jsonl"), "input": "text", "target": "kind"},
        "backbone": {"name": "transformers", "model": str(folder / "model")},
        "head": "classifier",
        "strategy": {"name": "lora", "rank": 2, **options},
        "metrics": ["accuracy"],
        "train": {"epochs": 2, "batch_size": 8, "learning_rate": 0.02, "workers": 0, "precision": "fp32"},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return inarch.train(folder / "recipe.json", out=folder / "run").directory


def checkpoint(run: Path) -> dict[str, torch.Tensor]:
    """The weights that the bundle was made of."""
    step = json.loads((run / "results.json").read_text())["best_step"]
    return load_file(run / "checkpoints" / f"step-{step:08d}" / "model.safetensors")


def part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize("merge", [False, True])
def test_reloaded_logits_have_the_bits_of_the_trained_weights(
    family: str, merge: bool, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    run = train(tiny, tmp_path, family, merge=merge)
    state, strategy, backbone = (
        checkpoint(run),
        lora(rank=2, merge=merge),
        builders.transformers(model=str(tiny(family))),
    )
    strategy.adapt(backbone)
    backbone.load_state_dict(part(state, "backbone."))
    assert strategy.merge(backbone) is merge
    opened = inarch.load(run)
    assert fingerprint(opened.model.head.state_dict()) == fingerprint(part(state, "head."))
    with torch.inference_mode():
        logits = opened.model.head(backbone.eval()(**batch(backbone)))
    assert torch.equal(opened.outputs(TEXTS), logits)
    assert json.loads((run / "results.json").read_text())["parity"] == 0.0


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_bundle_keeps_adapters_and_head_and_refuses_another_base(
    family: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    run = train(tiny, tmp_path, family)
    kept = load_file(run / "model" / "model.safetensors")
    assert all(".lora_" in name or name.startswith("head.") for name in kept)
    assert all(tensor.abs().max() > 0 for name, tensor in kept.items() if ".lora_B." in name)
    with torch.no_grad():
        state = load_file(tmp_path / "model" / "model.safetensors")
        first = next(iter(state))
        state[first].view(-1)[0] += 1e-3
    save_file(state, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(inarch.WeightsError, match=r"other weights than .*model.*expected SHA-256"):
        inarch.load(run)


def test_targets_are_the_models_own_names(build: Callable[..., Any]) -> None:
    backbone = build("bert")
    lora(rank=2, targets=["query", "value"]).adapt(backbone)
    names = {name.split(".lora_")[0] for name, _ in backbone.named_parameters() if ".lora_" in name}
    assert names == {f"model.encoder.layer.{n}.attention.self.{part}" for n in range(2) for part in ("query", "value")}
    with pytest.raises(inarch.RecipeError, match=r"unknown layer 'q_proj'\. Allowed: query, key, value, dense"):
        lora(targets=["q_proj"]).adapt(build("bert"))
