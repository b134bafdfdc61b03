"""Recipes of a few seconds in every domain, in which as much as can be has a memory."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from conftest import RECIPE, write_vectors

import inarch

TRAIN = {
    "epochs": 3, "batch_size": 8, "micro_batch_size": 2, "learning_rate": 0.01, "precision": "fp32",
    "checkpoint_every": 2,
}  # fmt: skip
SPLITS = {"valid": 0.15, "test": 0.15}
DOMAINS = ("vectors", "vision", "text", "audio")


def write(domain: str, folder: Path, changes: Mapping[str, Any]) -> Path:
    """Write data, a tiny network and a recipe into a folder; `changes` are those of its parts and of `train`."""
    data, backbone, train = WRITTEN[domain](folder)
    recipe = {
        "name": domain, "dataset": data, "splits": SPLITS, "backbone": backbone, "head": "classifier",
        "strategy": changes["strategy"], "metrics": ["accuracy"], "train": TRAIN | train | changes.get("train", {}),
    }  # fmt: skip
    path = folder / f"{domain}.json"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def _vectors(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Noise, mixing, dropout, batch norm, momentum, an average, and evaluations within an epoch."""
    random = np.random.default_rng(0)
    lines = ["vector,class"]
    for _ in range(44):  # 32 are trained with: a batch norm needs two examples in every micro-batch
        vector = random.normal(size=4)
        lines.append(f"{' '.join(f'{value:.4f}' for value in vector)},{'warm' if vector[0] > 0 else 'cold'}")
    (folder / "vectors.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = {"name": "table", "path": str(folder / "vectors.csv"), "input": "vector", "target": "class"}
    backbone = {"name": "vectors", "dropout": 0.2, "noise": 0.1, "mixup": True, "norm": True}
    return data, backbone, {"optimizer": "sgd", "ema": 0.9, "evaluate_every": 3}


def _vision(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Crops, flips and colours, batch norm, stochastic depth, momentum, an average."""
    from PIL import Image

    random = np.random.default_rng(0)
    for kind, brightness in (("dark", 90), ("light", 150)):
        (folder / "photos" / kind).mkdir(parents=True)
        for number in range(16):
            pixels = random.normal(brightness, 60, (24, 24, 3)).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / "photos" / kind / f"{number}.png")
    backbone = {"name": "timm", "model": "test_efficientnet", "weights": "none", "image_size": 32, "drop_path": 0.2,
                "augment": {"flip": "both", "crop": [0.5, 1.0]}}  # fmt: skip
    return {"name": "folder", "path": str(folder / "photos")}, backbone, {"optimizer": "sgd", "ema": 0.8}


def _text(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Batches of similar length, dropout, AdamW, early stopping."""
    from tiny_models import save

    save("bert", folder / "bert")
    random = np.random.default_rng(0)
    words = {"good": ["good", "film", "the"], "bad": ["bad", "film", "the"]}
    rows = [
        {"text": " ".join(random.choice(words[kind], 2 + n % 7)), "class": kind} for n in range(20) for kind in words
    ]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = {"name": "table", "path": str(folder / "texts.jsonl"), "input": "text", "target": "class"}
    stopping = {"metric": "loss", "patience": 2}
    return data, {"name": "transformers", "model": str(folder / "bert")}, {"early_stopping": stopping}


def _audio(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Cuts at random places, masks of numpy's generator, dropout, AdamW and an average."""
    import soundfile
    from tiny_audio import save

    save("wav2vec2", folder / "network")
    random = np.random.default_rng(0)
    for kind, pitch in (("high", 2000), ("low", 300)):
        (folder / "tones" / kind).mkdir(parents=True)
        for number in range(14):
            time = np.arange(3200 + 160 * number) / 16000
            noise = 0.1 * random.standard_normal(len(time))
            sound = 0.3 * np.sin(2 * np.pi * pitch * 1.03**number * time) + noise
            soundfile.write(folder / "tones" / kind / f"{number}.wav", sound.astype("float32"), 16000)
    backbone = {"name": "transformers_audio", "model": str(folder / "network"), "duration": 0.25}
    return {"name": "folder", "path": str(folder / "tones")}, backbone, {"ema": 0.9}


WRITTEN = {"vectors": _vectors, "vision": _vision, "text": _text, "audio": _audio}


def trained(folder: Path, **changes: Any) -> Path:
    """Train the toy; return its run."""
    path = folder / "toy.yaml"
    path.write_text(RECIPE.format(path=write_vectors(folder / "vectors.csv")), encoding="utf-8")
    inarch.train(path, changes, out=folder / "run")
    return folder / "run"
