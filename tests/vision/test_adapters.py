"""Low-rank adapters in the models of timm and torchvision."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import inarch
from inarch.builtin.strategies import lora
from inarch.model import check_layers
from inarch.recipe import Train
from inarch.weights import fingerprint
from inarch_vision import builders

SIDE = 32
SMALL = [("timm", "vit_tiny_patch16_224"), ("timm", "mobilenetv3_small_050"), ("torchvision", "resnet18")]


def build(library: str, model: str, side: int = SIDE) -> Any:
    torch.manual_seed(0)
    return getattr(builders, library)(model=model, weights="none", image_size=side)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve small photos of two kinds."""
    random = np.random.default_rng(0)
    for kind, brightness in (("dark", 60), ("light", 180)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(6):
            pixels = (random.normal(brightness, 40, (40, 40, 3))).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{number}.png")
    return tmp_path / "photos"


def train(photos: Path, library: str, model: str, **options: Any) -> Path:
    """Train adapters on weights that lie in a file."""
    folder = photos.parent
    save_file(build(library, model).model.state_dict(), folder / "weights.safetensors")
    recipe = {
        "dataset": {"name": "folder", "path": str(photos)},
        "backbone": {
            "name": library,
            "model": model,
            "image_size": SIDE,
            "weights": str(folder / "weights.safetensors"),
        },
        "head": "classifier",
        "strategy": {"name": "lora", "rank": 2, **options},
        "metrics": ["accuracy"],
        "train": {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, "workers": 0, "precision": "fp32"},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return inarch.train(folder / "recipe.json", out=folder / "run").directory


def checkpoint(run: Path) -> dict[str, torch.Tensor]:
    [*_, last] = sorted((run / "checkpoints").glob("step-*"))
    return load_file(last / "model.safetensors")


def part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


@pytest.mark.parametrize("library, model", SMALL)
@pytest.mark.parametrize("merge", [False, True])
def test_reloaded_logits_have_the_bits_of_the_trained_weights(
    photos: Path, library: str, model: str, merge: bool
) -> None:
    run = train(photos, library, model, merge=merge)
    state, strategy, backbone = checkpoint(run), lora(rank=2, merge=merge), build(library, model)
    strategy.adapt(backbone)
    backbone.load_state_dict(part(state, "backbone."))
    backbone.to(memory_format=torch.channels_last)  # as in training: a sum's last bits depend on it
    assert strategy.merge(backbone) is merge
    backbone.to(memory_format=torch.contiguous_format)
    opened = inarch.load(run)
    assert fingerprint(opened.model.head.state_dict()) == fingerprint(part(state, "head."))
    raws = sorted(photos.glob("*/*.png"))
    batch = backbone.collate([backbone.transform(False)(raw) for raw in raws])
    with torch.inference_mode():
        logits = opened.model.head(backbone.eval()(**batch))
    assert torch.equal(opened.outputs(raws), logits)
    assert json.loads((run / "results.json").read_text())["parity"] < 1e-5  # training may use other kernels


@pytest.mark.parametrize("library, model", SMALL)
def test_the_network_is_as_it_was_with_its_norms_and_is_no_part_of_the_bundle(
    photos: Path, library: str, model: str
) -> None:
    run = train(photos, library, model)
    trained = part(checkpoint(run), "backbone.model.")
    base = {name.replace(".base_layer.", "."): tensor for name, tensor in trained.items() if ".lora_" not in name}
    assert fingerprint(base) == fingerprint(load_file(photos.parent / "weights.safetensors"))
    products = [tensor for name, tensor in trained.items() if ".lora_B." in name]
    assert len(products) > 10 and all(tensor.abs().max() > 0 for tensor in products)
    kept = load_file(run / "model" / "model.safetensors")
    assert all(".lora_" in name or name.startswith("head.") for name in kept)


@pytest.mark.parametrize(
    "library, model, side",
    [
        *((library, model, SIDE) for library, model in SMALL),
        ("timm", "swin_tiny_patch4_window7_224", 64),
        ("timm", "eva02_tiny_patch14_224", 56),
        ("timm", "convnext_atto", 64),
        ("torchvision", "vit_b_32", 224),  # with torch's attention
        ("torchvision", "swin_t", 64),  # whose attention reads weights itself
    ],
)
def test_layers_name_the_adapters_too_and_every_adapter_is_used(library: str, model: str, side: int) -> None:
    backbone = build(library, model, side).eval()
    depth = len(backbone.layers())
    lora(rank=2).adapt(backbone)
    layers = check_layers(backbone)
    assert len(layers) == depth
    adapters = [parameter for name, parameter in backbone.named_parameters() if ".lora_" in name]
    backbone(image=torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)).pooled.square().sum().backward()
    assert len(adapters) > 10 and all(parameter.grad is not None for parameter in adapters)
    first = next(index for index, layer in enumerate(layers) if any(".lora_" in name for name in layer))
    assert first <= 1  # in the stem or in the first block, not heaped up in one layer


def test_gradient_checkpointing_changes_no_gradient_of_an_adapter() -> None:
    backbone = build("timm", "vit_tiny_patch16_224")
    strategy = lora(rank=2, dropout=0.0)
    strategy.adapt(backbone)
    [phase] = strategy.phases(backbone, Train())
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in (phase.trains or ()))
    gradients = []
    for _ in range(2):
        backbone.zero_grad()
        backbone(image=torch.full((2, 3, SIDE, SIDE), 7, dtype=torch.uint8)).pooled.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in backbone.parameters() if p.requires_grad]))
        backbone.gradient_checkpointing()
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5) and gradients[0].abs().max() > 0
