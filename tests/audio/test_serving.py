"""A bundle answers to every odd file what evaluation in training answered, alone and beside others, anywhere."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from audio.sounds import RATE, encoded, speech, tone, write

import inarch as door

Inarch = Callable[..., Any]
Network = Callable[[str], Path]
FORMATS = [
    ("wav", "PCM_U8"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_32"), ("wav", "FLOAT"), ("wav", "DOUBLE"),
    ("wav", "ULAW"), ("flac", "PCM_16"), ("flac", "PCM_24"), ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III"),
    ("aiff", "PCM_16"),
]  # fmt: skip
SECONDS = (0.001, 0.05, 0.4, 0.999, 1.0, 1.0001, 1.3, 3.7)


def odd(folder: Path) -> list[Path]:
    """Write speech in every format, at many rates and lengths, in one or several channels."""
    made = [write(folder / f"{subtype}.{kind}", speech(0.7, 1), subtype=subtype) for kind, subtype in FORMATS]
    made += [write(folder / f"{rate}.wav", speech(1.2, 2, rate), rate) for rate in (8000, 11025, 44100, 48000, 192000)]
    made += [write(folder / f"{seconds}.wav", speech(4, 3)[: max(1, round(seconds * RATE))]) for seconds in SECONDS]
    made += [write(folder / "long.mp3", speech(3.2, 4, 44100), 44100), write(folder / "long.ogg", speech(2.6, 5))]
    both = np.stack([speech(1.4, 6), tone(1.4)], 1)
    made += [write(folder / "stereo.flac", both), write(folder / "six.wav", np.tile(both, 3), 48000)]
    made += [write(folder / "silence.wav", np.zeros(9000, np.float32)), write(folder / "名前 ü.wav", tone(0.3))]
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Callable[[str, str], Path]:
    """Return a run over odd files, whose original model is gone: ``trained("whisper", "classifier")``."""
    runs: dict[tuple[str, str], Path] = {}
    root = tmp_path_factory.mktemp("serving")
    files = odd(root / "odd")
    lines = []
    for number, file in enumerate(files):
        events = [{"start": 0.0, "end": 0.0005 + number / 100, "label": "ab"[number % 2]}]
        lines.append(json.dumps({"file": str(file), "class": "ab"[number % 2], "events": events}) + "\n")
    (root / "odd.jsonl").write_text("".join(lines), encoding="utf-8")

    def run(name: str, head: str) -> Path:
        if (name, head) not in runs:
            place = root / f"{name}-{head}"
            model = shutil.copytree(network(name), root / "models" / place.name)
            target, metric = ("class", "accuracy") if head == "classifier" else ("events", "event_f1")
            both = {split: str(root / "odd.jsonl") for split in ("train", "test")}
            (root / "recipe.yaml").write_text(json.dumps({
                "dataset": {"name": "table", "path": both, "input": "file", "target": target},
                "backbone": {"name": "transformers_audio", "model": str(model), "duration": 1.0},
                "head": head, "strategy": "full", "metrics": [metric], "splits": {"valid": 0},
                "train": {"epochs": 1, "batch_size": 8, "learning_rate": 0.003, "workers": 0, "precision": "fp32"},
            }), encoding="utf-8")  # fmt: skip
            result = door.train(root / "recipe.yaml", out=place)
            assert result.parity < 1e-5
            shutil.rmtree(model)
            runs[name, head] = place
        return runs[name, head]

    return run


def evaluated(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["whisper", "wav2vec2", "wav2vec2-large"])
@pytest.mark.parametrize("size", [1, 5, 64])
def test_a_bundle_gives_odd_files_the_scores_of_evaluation(
    trained: Callable[[str, str], Path], name: str, size: int
) -> None:
    run = trained(name, "classifier")
    lines = evaluated(run)
    served = door.load(run).predict([line["input"] for line in lines], batch_size=size)
    assert len(lines) > 28
    for line, found in zip(lines, served, strict=True):
        assert found["scores"] == pytest.approx(line["scores"], abs=1e-5), line["input"]
    assert len({round(line["scores"]["a"], 4) for line in lines}) > 15  # the network hears what is different


@pytest.mark.parametrize("size", [1, 7])
def test_frames_of_odd_files_are_those_of_evaluation(trained: Callable[[str, str], Path], size: int) -> None:
    run = trained("wav2vec2-large", "tagger")
    lines = evaluated(run)
    for line, found in zip(
        lines, door.load(run).predict([line["input"] for line in lines], batch_size=size), strict=True
    ):
        assert found["tags"] == line["tags"], line["input"]
        places = [[(s["start"], s["end"], s["label"]) for s in one["segments"]] for one in (found, line)]
        assert places[0] == places[1]
        scores = [[s["score"] for s in one["segments"]] for one in (found, line)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_bytes_and_arrays_are_heard_like_their_file(trained: Callable[[str, str], Path]) -> None:
    run = trained("whisper", "classifier")
    opened = door.load(run)
    for line in evaluated(run):
        path = Path(line["input"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples, rate = soundfile.read(path, dtype="float32")
        raws = [path, str(path), {"bytes": path.read_bytes(), "path": None}, {"path": str(path)}]
        raws.append({"array": samples, "sampling_rate": rate})
        first, *others = opened.predict(raws)
        for other in others:
            assert other["scores"] == pytest.approx(first["scores"], abs=1e-5), path


def test_a_folder_is_labelled_with_a_broken_file_among_good_ones(
    trained: Callable[[str, str], Path], inarch: Inarch, tmp_path: Path
) -> None:
    run = shutil.move(shutil.copytree(trained("whisper", "classifier"), tmp_path / "before"), tmp_path / "moved")
    folder = tmp_path / "recordings"
    good = [write(folder / "a" / f"{number}.wav", tone(0.3 + number)) for number in range(3)]
    nan = tone()
    nan[100:200] = np.nan
    broken = {"empty.wav": b"", "cut.flac": encoded(speech(), format="FLAC")[:5000], "text.mp3": b"a text\n",
              "nan.wav": encoded(nan, subtype="FLOAT")}  # fmt: skip
    for name, data in broken.items():
        (folder / name).write_bytes(data)
    ended = inarch("predict", run / "model", folder, "--json", env={"HF_HUB_OFFLINE": "1"})
    assert ended.returncode == 2 and ended.stderr == "Error: 4 inputs could not be read\n"
    found = {line["input"]: line for line in map(json.loads, ended.stdout.splitlines())}
    assert set(found) == {str(path) for path in [*good, *(folder / name for name in broken)]}
    assert all(found[str(path)]["class"] in "ab" for path in good)
    assert all("error" in found[str(folder / name)] for name in broken)
