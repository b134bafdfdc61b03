"""The probe of an audio model: features that are stored, and features that are not, end in the same bits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from audio.sounds import tone, write

import inarch


def test_a_probe_of_recordings_is_the_same_from_the_store_also_through_windows(
    recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, pitch in (("low", 300), ("high", 2000)):
        for number in range(10):  # the longer ones do not go through the network at once
            write(
                tmp_path / "tones" / name / f"{number}.wav",
                tone(0.6 + 0.15 * number, pitch * 1.03**number, amplitude=0.3),
            )
    made = recipe({"name": "folder", "path": str(tmp_path / "tones")}, strategy="linear_probe")
    endings = []
    for name in ("computed", "stored", "computed again"):
        if name != "stored":
            monkeypatch.setenv("INARCH_CACHE", str(tmp_path / f"cache {name}"))
        result = inarch.train(made, out=tmp_path / name)
        assert result.parity < 1e-5 and result.metrics["accuracy"].value > 0.5
        endings.append([(tmp_path / name / part).read_bytes() for part in ("model/model.safetensors", "metrics.jsonl")])
    assert endings[0] == endings[1] == endings[2]
