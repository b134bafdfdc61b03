"""Bad recordings at the command line: one clear sentence, exit code 2; what goes on anyway is counted.

What headers and tables tell is said by `inarch check`, which loads neither torch nor a model.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audio.sounds import RATE, encoded, speech, tone, write

import inarch as door
from inarch import DataError, InarchError

Inarch = Callable[..., Any]
Recipe = Callable[..., Path]


@pytest.fixture
def recordings(tmp_path: Path) -> dict[str, Any]:
    """Six good recordings of each of two classes, and the data set."""
    for number in range(6):
        write(tmp_path / "sounds" / "low" / f"{number}.wav", tone(0.5, 300 + number))
        write(tmp_path / "sounds" / "high" / f"{number}.wav", tone(0.5, 2000 + number))
    return {"name": "folder", "path": str(tmp_path / "sounds")}


def nan() -> np.ndarray:
    samples = tone()
    samples[4000] = np.nan
    return samples


HEADERS = {
    "empty.wav": (b"", "is empty"),
    "text.wav": (b"the cat sat on the mat\n" * 9, "is text, not sound; it begins with 'the cat"),
    "none.wav": (encoded(np.zeros(0, np.float32)), "holds no samples"),
    "half.wav": (encoded(tone())[:9000], "is cut off: holds 8,956 of the 32,000 bytes"),
    "header.flac": (encoded(tone(), format="FLAC")[:30], "header is broken or cut off"),
    "notes.txt": (b"nothing to hear", "is text, not sound"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_what_a_header_tells_is_said_before_anything_is_loaded(
    name: str, recordings: dict[str, Any], recipe: Recipe, inarch: Inarch, tmp_path: Path
) -> None:
    data, told = HEADERS[name]
    (tmp_path / "sounds" / "low" / name).write_bytes(data)
    ended = inarch("check", recipe(recordings))
    assert ended.returncode == 2 and ended.stderr.startswith("Error: ") and ended.stderr.count("\n") == 1
    assert f"low/{name}: " in ended.stderr and told in ended.stderr and "on_error: skip" in ended.stderr


def test_all_kinds_of_broken_files_are_skipped_and_named(
    recordings: dict[str, Any], recipe: Recipe, inarch: Inarch, tmp_path: Path
) -> None:
    for name, (data, _) in HEADERS.items():
        (tmp_path / "sounds" / "low" / name).write_bytes(data)
    made = recipe(recordings)
    limited = inarch("check", made, "on_error=skip")
    assert limited.returncode == 2 and "more than error_limit" in limited.stderr
    ended = inarch("check", made, "on_error=skip", "error_limit=0.9")
    assert ended.returncode == 0, ended.stderr
    assert sum(int(line.split(", ")[-1].split()[0]) for line in ended.stdout.splitlines() if "skipped" in line) == 6


DECODED = {
    "nan.wav": (encoded(nan(), subtype="FLOAT"), "holds 1 sample that is NaN or infinite, at 0.250 s"),
    "half.flac": (encoded(speech(), format="FLAC")[:9000], "is cut off or damaged"),
}


@pytest.mark.parametrize("name", DECODED)
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_decoding_finds_stops_the_training_or_is_counted(
    name: str, split: str, recordings: dict[str, Any], recipe: Recipe, tmp_path: Path
) -> None:
    data, told = DECODED[name]
    for number in range(2):
        for label in ("low", "high"):
            source = tmp_path / "sounds" / label / f"{number}.wav"
            write(tmp_path / "sounds" / "test" / label / source.name, tone())
    (tmp_path / "sounds" / "train").mkdir()
    for label in ("low", "high"):
        (tmp_path / "sounds" / label).rename(tmp_path / "sounds" / "train" / label)
    (tmp_path / "sounds" / split / "low" / name).write_bytes(data)
    made = recipe(recordings, splits={"valid": 0})
    with pytest.raises(DataError, match=f"{split}/low/{name}: {told}.*on_error: skip would leave it out"):
        door.train(made, out=tmp_path / "run")
    door.train(made, {"on_error": "skip", "error_limit": 0.5}, out=tmp_path / "skipped")
    results = json.loads((tmp_path / "skipped" / "results.json").read_text(encoding="utf-8"))
    assert f"low/{name}: {told}" in json.dumps(results)


def test_odd_recordings_are_recordings(recordings: dict[str, Any], recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "sounds" / "low"
    write(folder / "silence.wav", np.zeros(RATE, np.float32))
    write(folder / "clipped.wav", np.clip(tone(amplitude=20), -1, 1))
    write(folder / "loud.wav", tone(amplitude=1e4), subtype="FLOAT")
    write(folder / "short.wav", tone(0.1))
    write(folder / "one.wav", np.ones(1, np.float32))
    for rate in (8000, 11025, 22050, 44100, 48000, 96000):
        write(folder / f"{rate}.wav", tone(0.5, 300, rate), rate)
    result = door.train(recipe(recordings), out=tmp_path / "run")
    assert result.parity < 1e-5
    assert math.isfinite(json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["loss"])
    odd = [folder / f"{name}.wav" for name in ("silence", "clipped", "loud", "short", "one")]
    for found in door.load(tmp_path / "run").predict(odd):
        assert sum(found["scores"].values()) == pytest.approx(1)


def table(folder: Path, rows: list[dict[str, Any]], name: str = "table") -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts(folder: Path, rows: list[tuple[str, float]], name: str = "table") -> Path:
    """Write a recording of so many seconds for each text."""
    for number, (_, seconds) in enumerate(rows):
        write(folder / f"{name}{number}.wav", tone(seconds, 300 + 10 * number))
    return table(folder, [{"file": f"{name}{n}.wav", "text": text} for n, (text, _) in enumerate(rows)], name)


def test_a_file_that_is_not_there_is_told_by_its_line(recipe: Recipe, inarch: Inarch, tmp_path: Path) -> None:
    path = texts(tmp_path, [("ab", 0.5)] * 9)
    (tmp_path / "table4.wav").unlink()
    dataset = {"name": "table", "path": str(path), "input": "file", "target": "text"}
    ended = inarch("check", recipe(dataset))
    assert ended.returncode == 2
    assert "table.jsonl, line 5: there is no file 'table4.wav'" in ended.stderr


def test_a_speaker_in_two_splits_is_refused(recipe: Recipe, inarch: Inarch, tmp_path: Path) -> None:
    paths = {}
    for split in ("train", "test"):
        write(tmp_path / f"{split}.wav", tone())
        rows = [{"file": f"{split}.wav", "word": word, "speaker": "theo"} for word in "ab" * 3]
        paths[split] = str(table(tmp_path, rows, split))
    dataset = {"name": "table", "path": paths, "input": "file", "target": "word"}
    assert inarch("check", recipe(dataset)).returncode == 0
    ended = inarch("check", recipe({**dataset, "group": "speaker"}))
    assert ended.returncode == 2 and "the group 'theo' is in train and in test" in ended.stderr


SPEECH = {"head": "ctc", "metrics": ["word_error_rate"]}


def test_transcripts_that_cannot_be_spelt_are_told_counted_and_measured(
    recipe: Recipe, inarch: Inarch, tmp_path: Path
) -> None:
    train = texts(tmp_path, [("abc", 0.8)] * 8, "train")
    test = texts(tmp_path, [("abc", 0.8)] * 3 + [("añ!", 0.8)], "test")
    dataset = {"name": "table", "path": {"train": str(train), "test": str(test)}, "input": "file", "target": "text"}
    made = recipe(dataset, splits={"valid": 0}, **SPEECH)
    told = inarch("check", made).stdout
    assert "2 characters in 1 of 4 transcripts cannot be predicted" in told and "'!', 'ñ'" in told and "line 4" in told
    door.train(made, out=tmp_path / "run")
    assert len((tmp_path / "run" / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines()) == 4


def test_a_transcript_that_its_frames_cannot_carry_is_named(recipe: Recipe, tmp_path: Path) -> None:
    train = texts(tmp_path, [("abc", 0.8)] * 20 + [("abcabcabc", 0.1), ("aab", 0.06)], "train")
    test = texts(tmp_path, [("abc", 0.8)] * 3 + [("abcabcabc", 0.1)], "test")
    dataset = {"name": "table", "path": {"train": str(train), "test": str(test)}, "input": "file", "target": "text"}
    made = recipe(dataset, splits={"valid": 0}, **SPEECH)
    with pytest.raises(DataError) as error:
        door.train(made, out=tmp_path / "run")
    said = str(error.value)
    assert "train.jsonl, line 2" in said and "frames, for" in said and "on_error: skip" in said

    door.train(made, {"on_error": "skip", "error_limit": 0.2}, out=tmp_path / "skipped")
    results = json.loads((tmp_path / "skipped" / "results.json").read_text(encoding="utf-8"))
    notes = json.dumps(results)
    assert "'abcabcabc' needs 9 frames, for 9 letters, but the input has 5" in notes
    assert "'aab' needs 4 frames, for 3 letters and 1 between equal ones, but the input has 3" in notes
    assert len((tmp_path / "skipped" / "predictions" / "test.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    assert math.isfinite(results["loss"]) and results["metrics"]["word_error_rate"]["value"] >= 0


def test_speech_that_is_longer_than_its_backbone_hears_is_not_cut(recipe: Recipe, tmp_path: Path) -> None:
    train = texts(tmp_path, [("abc", 0.8)] * 20 + [("abc", 1.5)], "train")
    dataset = {"name": "table", "path": str(train), "input": "file", "target": "text"}
    made = recipe(dataset, splits={"valid": 0, "test": {"file": [str(tmp_path / "train0.wav")]}}, **SPEECH)
    with pytest.raises(InarchError, match=r"train\.jsonl, line 21: .*1\.5.*on_error: skip"):
        door.train(made, out=tmp_path / "run")


OPTIONS = {
    "a misspelt option": ("backbone.duratoin=1", "Did you mean 'duration'?"),
    "no rate": ("backbone.sample_rate=0", "backbone.sample_rate"),
    "no duration": ("backbone.duration=0", "backbone.duration"),
    "windows that never move": ("backbone.overlap=1", "backbone.overlap"),
    "an unknown change": ("backbone.augment={noize: x}", "Did you mean 'noise'?"),
    "a speed of nothing": ("backbone.augment={speed: [0, 1]}", "two factors, 0.5 <= slowest <= fastest <= 2"),
    "a metric of something else": ("metrics=[word_error_rate]", "'word_error_rate' measures transcript"),
    "another domain's backbone": ("backbone.name=torchaudoi", "Did you mean 'torchaudio'?"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_what_a_recipe_may_not_say_is_told_with_what_it_may(
    case: str, recordings: dict[str, Any], recipe: Recipe, inarch: Inarch
) -> None:
    change, told = OPTIONS[case]
    ended = inarch("check", recipe(recordings), change)
    assert ended.returncode == 2 and ended.stderr.startswith("Error: ") and told in ended.stderr, ended.stderr
    assert ended.stderr.count("\n") == 1
