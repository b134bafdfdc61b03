"""What tests of runs share: tiny models in the hub's layout, and recipes over recordings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a family's tiny audio model: ``network("whisper")``."""
    from tiny_audio import folders  # brings torchaudio

    return folders(tmp_path_factory)


@pytest.fixture
def recipe(tmp_path: Path, network: Callable[[str], Path]) -> Callable[..., Path]:
    """Write a recipe over a tiny Whisper of one second: ``recipe(dataset, head="regressor", epochs=3)``."""

    def written(dataset: dict[str, Any], epochs: int = 1, rate: float = 0.01, **changed: Any) -> Path:
        train = {"epochs": epochs, "batch_size": 8, "learning_rate": rate, "workers": 0, "precision": "fp32"}
        backbone = {"name": "transformers_audio", "model": str(network("whisper")), "duration": 1.0}
        whole = {"backbone": backbone, "head": "classifier", "strategy": "full", "metrics": ["accuracy"]}
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps({"dataset": dataset, **whole, "train": train, **changed}), encoding="utf-8")
        return path

    return written
