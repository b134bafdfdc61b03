"""Recordings that are much longer than what goes through at once: windows, one answer, constant memory."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from audio.sounds import tone, write

import inarch

Network = Callable[[str], Path]
RATE = 8000  # Hz, of the recordings
MEGABYTES = 50  # more that 40 minutes may need than 10

PEAKS = """
import json, re, sys
import inarch

opened, peaks = inarch.load(sys.argv[1]), []
for path in sys.argv[2:]:
    [found] = opened.predict([path])
    with open("/proc/self/status") as status:  # ru_maxrss begins with the memory of the process that started this one
        peaks.append(int(re.search(r"VmHWM:\\s*(\\d+) kB", status.read())[1]) // 1024)
print(json.dumps([peaks, found]))
"""


def minutes(path: Path, count: int) -> Path:
    """Write silence with half a second of a tone at the start of each minute."""
    minute = np.zeros(60 * RATE, np.float32)
    minute[: RATE // 2] = tone(0.5, 900, RATE)
    return write(path, np.tile(minute, count), RATE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, network: Network) -> dict[str, Path]:
    """A run of each head, trained for a step."""
    root = tmp_path_factory.mktemp("long")
    lines = []
    for number in range(8):
        name = f"{number}.wav"
        write(root / name, tone(0.5, 300 + 200 * number, RATE), RATE)
        beep = [{"start": 0.0, "end": 0.5, "label": "beep"}]
        lines.append(json.dumps({"file": name, "class": "ab"[number % 2], "events": beep, "text": "ab"}) + "\n")
    (root / "table.jsonl").write_text("".join(lines), encoding="utf-8")
    found = {}
    for head, target, metric in (
        ("classifier", "class", "accuracy"), ("tagger", "events", "event_f1"), ("ctc", "text", "word_error_rate"),
    ):  # fmt: skip
        (root / "recipe.yaml").write_text(json.dumps({
            "dataset": {"name": "table", "path": str(root / "table.jsonl"), "input": "file", "target": target},
            "backbone": {"name": "transformers_audio", "model": str(network("whisper")), "duration": 2.0},
            "head": head, "strategy": "full", "metrics": [metric], "splits": {"valid": 0, "test": 0.25},
            "train": {"epochs": 1, "batch_size": 8, "learning_rate": 0.01, "workers": 0, "precision": "fp32"},
        }), encoding="utf-8")  # fmt: skip
        found[head] = inarch.train(root / "recipe.yaml", out=root / head).directory
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("head", "kind"), [("classifier", "mp3"), ("tagger", "flac")])
def test_memory_does_not_grow_with_the_length_of_a_recording(
    runs: dict[str, Path], tmp_path: Path, head: str, kind: str
) -> None:
    files = [minutes(tmp_path / f"{count}.{kind}", count) for count in (10, 40)]
    command = [sys.executable, "-c", PEAKS, str(runs[head]), *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    peaks, found = json.loads(ended.stdout)
    assert peaks[1] - peaks[0] < MEGABYTES  # the peak so far, in MB
    if head == "tagger":
        assert len(found["tags"]) == pytest.approx(40 * 60 / 0.02, rel=0.001)


def test_a_class_is_the_mean_over_windows(runs: dict[str, Path], tmp_path: Path) -> None:
    path = minutes(tmp_path / "long.flac", 2)
    samples = np.tile(np.r_[tone(0.5, 900, RATE), np.zeros(RATE * 119 // 2, np.float32)], 2)
    opened = inarch.load(runs["classifier"])
    [logits] = opened.outputs([path])
    starts = [*range(0, 118 * RATE, RATE * 3 // 2), 118 * RATE]
    parts = [{"array": samples[start : start + 2 * RATE], "sampling_rate": RATE} for start in starts]
    assert len(opened.model.backbone.windows(path)) == len(parts)
    assert logits.numpy() == pytest.approx(opened.outputs(parts).mean(0).numpy(), abs=0.01)  # edges are resampled
    whole, *_ = opened.predict([path, tmp_path / "long.flac"], batch_size=4)
    assert whole["scores"] == pytest.approx(opened.predict([path], batch_size=500)[0]["scores"], abs=1e-5)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[[inarch.Backbone], list[int]]:
    """Return a list that will say how many examples, windows too, go through a backbone together."""

    def noted(backbone: inarch.Backbone) -> list[int]:
        counts: list[int] = []
        collate = backbone.collate
        monkeypatch.setattr(backbone, "collate", lambda examples: counts.append(len(examples)) or collate(examples))
        return counts

    return noted


def test_half_a_minute_of_a_long_recording_goes_through_at_once(
    runs: dict[str, Path], tmp_path: Path, together: Callable[[inarch.Backbone], list[int]]
) -> None:
    opened = inarch.load(runs["classifier"])
    counts = together(opened.model.backbone)
    opened.predict([minutes(tmp_path / "long.flac", 2)])
    assert sum(counts) == 80 and max(counts) == 16  # of two seconds each


def test_recordings_of_some_windows_go_through_together_up_to_the_batch_size(
    runs: dict[str, Path], tmp_path: Path, together: Callable[[inarch.Backbone], list[int]]
) -> None:
    seconds = [1, 8, 9, 7, 8.5, 1.5, 7.5, 1]
    files = [write(tmp_path / f"{n}.wav", tone(length, 400, RATE), RATE) for n, length in enumerate(seconds)]
    opened = inarch.load(runs["classifier"])
    counts = together(opened.model.backbone)
    found = opened.predict(files, batch_size=8)
    assert sum(counts) == sum(max(1, len(opened.model.backbone.windows(file))) for file in files) and max(counts) <= 8
    for file, mine in zip(files, found, strict=True):
        assert mine["scores"] == pytest.approx(opened.predict([file])[0]["scores"], abs=1e-5)


@pytest.mark.parametrize("head", ["tagger", "ctc"])
def test_a_broken_end_of_a_long_recording_is_an_error(runs: dict[str, Path], tmp_path: Path, head: str) -> None:
    data = minutes(tmp_path / "long.flac", 3).read_bytes()
    (tmp_path / "cut.flac").write_bytes(data[: len(data) * 2 // 3])
    opened = inarch.load(runs[head])
    found = dict(opened.stream([tmp_path / "cut.flac", tmp_path / "0.wav", minutes(tmp_path / "good.flac", 3)],
                               batch_size=8, skip_unreadable=True))  # fmt: skip
    assert "is cut off" in found[tmp_path / "cut.flac"]["error"]
    assert found[tmp_path / "0.wav"] == {"error": "there is no such file"}
    assert "segments" in found[tmp_path / "good.flac"]
