"""The probe of a text model: features that are stored, and features that are not, end in the same bits."""

import json
from pathlib import Path

import pytest

import inarch


def test_a_probe_of_texts_is_the_same_from_the_store(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"good": "what a good film, " * 2, "bad": "bad and again bad; "}
    rows = [{"text": f"{words[kind]}{n}", "kind": kind} for n in range(15) for kind in words]
    (tmp_path / "films.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = {
        "dataset": {"name": "table", "path": str(tmp_path / "films.jsonl"), "input": "text", "target": "kind"},
        "backbone": {"name": "transformers", "model": str(tiny("bert"))},
        "head": "classifier", "strategy": "linear_probe", "metrics": ["accuracy"],
        "train": {"batch_size": 8, "workers": 0, "precision": "fp32"},
    }  # fmt: skip
    (tmp_path / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    endings = []
    for name in ("computed", "stored", "computed again"):
        if name != "stored":
            monkeypatch.setenv("INARCH_CACHE", str(tmp_path / f"cache {name}"))
        result = inarch.train(tmp_path / "recipe.json", out=tmp_path / name)
        assert result.parity < 1e-5 and result.metrics["accuracy"].value > 0.9
        endings.append([(tmp_path / name / part).read_bytes() for part in ("model/model.safetensors", "metrics.jsonl")])
    assert endings[0] == endings[1] == endings[2]
