"""What `inarch init` writes for recordings trains."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from audio.sounds import tone, write

import inarch
from inarch import document
from inarch.workflows.init import init

Network = Callable[[str], Path]
QUICK = {"train.epochs": 1, "train.workers": 0, "train.precision": "fp32", "backbone.duration": 1.0}


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of each of two words."""
    for number in range(10):
        write(tmp_path / "recordings" / "low" / f"{number}.wav", tone(0.5, 300 + number))
        write(tmp_path / "recordings" / "high" / f"{number}.mp3", tone(0.5, 2000 + number))
    return tmp_path / "recordings"


def test_the_recipe_for_a_folder_of_recordings_trains(recordings: Path, tmp_path: Path, network: Network) -> None:
    written = init(recordings, "audio", None, None, tmp_path / "new.yaml")
    recipe = document.load(written).data
    assert recipe["backbone"]["name"] == "transformers_audio" and recipe["backbone"]["duration"] == 5.0
    result = inarch.train(written, {**QUICK, "backbone.model": str(network("whisper"))}, out=tmp_path / "run")
    assert set(result.metrics) == {"accuracy", "balanced_accuracy", "f1"}


def test_files_that_are_no_recordings_are_left_out_and_told(recordings: Path, tmp_path: Path, network: Network) -> None:
    (recordings / "low" / "notes.txt").write_text("high noon\n", encoding="utf-8")
    (recordings / "high" / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(200, 256)) * 20)
    written = init(recordings, "audio", None, None, tmp_path / "new.yaml")
    assert "on_error: skip" in written.read_text(encoding="utf-8")
    inarch.train(written, {**QUICK, "backbone.model": str(network("whisper"))}, out=tmp_path / "run")


def test_a_table_of_recordings_with_texts_beside_them_names_its_files(recordings: Path, tmp_path: Path) -> None:
    rows = [
        {"recording": f"recordings/{word}/{n}.{kind}", "said": f"this is {word} number {n}", "label": word}
        for word, kind in (("low", "wav"), ("high", "mp3"))
        for n in range(10)
    ]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    written = init(tmp_path / "table.jsonl", "audio", None, None, tmp_path / "new.yaml")
    recipe = document.load(written).data
    assert recipe["dataset"]["input"] == "recording" and recipe["dataset"]["target"] == "label"
    assert recipe["head"]["name"] == "classifier"
