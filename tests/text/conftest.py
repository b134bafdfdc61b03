"""What tests of text share: backbones of tiny random models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inarch_text import builders


@pytest.fixture
def build(tiny: Callable[[str], Path]) -> Callable[..., Any]:
    """Build a backbone with the weights of its folder, in evaluation mode: ``build("bert", pooling="max")``."""

    def built(name: str = "bert", **options: Any) -> Any:
        backbone = builders.transformers(**{"model": str(tiny(name)), **options})
        backbone.load_weights()
        return backbone.eval()

    return built
