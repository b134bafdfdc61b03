"""The probe of a network for images: features that are stored, and features that are not, end in the same bits."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import inarch
from inarch_vision import builders


@pytest.mark.parametrize("views", [1, 2])
def test_a_probe_of_photos_is_the_same_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: int
) -> None:
    random = np.random.default_rng(0)
    for kind, brightness in (("dark", 60), ("light", 180)):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(12):
            pixels = random.normal(brightness, 40, (40, 40, 3)).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{number}.png")
    torch.manual_seed(0)
    backbone = {"name": "timm", "model": "mobilenetv3_small_050", "image_size": 32}
    made = builders.timm(model=backbone["model"], weights="none", image_size=32)
    save_file(made.model.state_dict(), tmp_path / "weights.safetensors")
    recipe = {
        "dataset": {"name": "folder", "path": str(tmp_path / "photos")},
        "backbone": {**backbone, "weights": str(tmp_path / "weights.safetensors")},
        "head": "classifier", "strategy": {"name": "linear_probe", "views": views}, "metrics": ["accuracy"],
        "train": {"batch_size": 8, "workers": 0, "precision": "fp32"},
    }  # fmt: skip
    (tmp_path / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    endings = []
    for name in ("computed", "stored", "computed again"):
        if name != "stored":
            monkeypatch.setenv("INARCH_CACHE", str(tmp_path / f"cache {name}"))
        result = inarch.train(tmp_path / "recipe.json", out=tmp_path / name)
        assert result.parity < 1e-5
        endings.append([(tmp_path / name / part).read_bytes() for part in ("model/model.safetensors", "metrics.jsonl")])
    assert endings[0] == endings[1] == endings[2]
    [hashes] = json.loads((tmp_path / "stored" / "results.json").read_text())["frozen"]
    assert hashes["before"] == hashes["after"]
