"""What strategies train, how fast, and what they leave alone, in image models with norms of layers and of batches."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transfers import CHECKS

from inarch_vision import builders

MODELS = [("timm", "vit_tiny_patch16_224"), ("timm", "mobilenetv3_small_050"), ("torchvision", "resnet18")]


@pytest.mark.parametrize("library, model", MODELS)
@pytest.mark.parametrize("check", CHECKS)
def test_a_strategy_trains_what_it_says(library: str, model: str, check: Callable[..., None]) -> None:
    torch.manual_seed(0)
    backbone: Any = getattr(builders, library)(model=model, weights="none", image_size=32)
    check(backbone, {"image": torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)})
