"""Recordings of tones, from a recipe to a bundle, for every head and strategy that hears; the networks are tiny."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audio.sounds import RATE, tone, write
from safetensors.torch import load_file

import inarch

Recipe = Callable[..., Path]
Network = Callable[[str], Path]
PITCH = {"a": 300, "b": 900, "c": 2700}  # Hz


def tones(folder: Path, count: int = 12) -> dict[str, Any]:
    """Write tones of two pitches, a folder each, and return the data set."""
    for name in ("low", "high"):
        for number in range(count):
            pitch = (300 if name == "low" else 2000) * 1.03**number
            write(folder / name / f"{number}.wav", tone(0.6 + 0.05 * number, pitch, amplitude=0.3))
    return {"name": "folder", "path": str(folder)}


def table(folder: Path, rows: Iterable[tuple[np.ndarray, Any]]) -> dict[str, Any]:
    """Write recordings and a table of what is in them, and return the data set."""
    lines = []
    for number, (samples, target) in enumerate(rows):
        write(folder / f"{number}.flac", samples)
        lines.append(json.dumps({"file": f"{number}.flac", "target": target}) + "\n")
    (folder / "table.jsonl").write_text("".join(lines), encoding="utf-8")
    return {"name": "table", "path": str(folder / "table.jsonl"), "input": "file", "target": "target"}


def events(count: int, seconds: float = 1.0, seed: int = 0) -> Iterable[tuple[np.ndarray, Any]]:
    """Yield recordings of silence with a tone of one pitch or the other somewhere, and where, in seconds."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        length, label = random.uniform(0.2, 0.5), "ac"[random.integers(2)]
        start = random.uniform(0, seconds - length)
        samples = 0.001 * random.standard_normal(round(seconds * RATE)).astype(np.float32)
        sound = tone(length, PITCH[label])
        samples[round(start * RATE) :][: len(sound)] += sound
        yield samples, [{"start": round(start, 3), "end": round(start + length, 3), "label": label}]


def spelt(count: int, letters: int = 3, seed: int = 0) -> Iterable[tuple[np.ndarray, str]]:
    """Yield a tone for each letter with silence between them, and the letters."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        text = "".join(random.choice(list(PITCH), random.integers(1, letters + 1)))
        parts = [np.concatenate([tone(0.2, PITCH[letter]), np.zeros(1600, np.float32)]) for letter in text]
        yield np.concatenate(parts), text


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_classifier_tells_tones_apart(recipe: Recipe, tmp_path: Path) -> None:
    result = inarch.train(recipe(tones(tmp_path / "tones"), epochs=6), out=tmp_path / "run")
    assert result.metrics["accuracy"].value == 1 and result.parity < 1e-5
    [found] = inarch.load(tmp_path / "run").predict([{"array": tone(0.8, 310), "sampling_rate": RATE}])
    assert found["class"] == "low"


def test_several_labels_are_heard_at_once(recipe: Recipe, tmp_path: Path) -> None:
    rows = [
        (sum((tone(0.8, PITCH[p], amplitude=0.2 + 0.01 * n) for p in names), np.zeros(12800, np.float32)), names)
        for n in range(10)
        for names in (["a"], ["c"], ["a", "c"], [])
    ]
    made = recipe(table(tmp_path, rows), head="multilabel", metrics=["f1"], epochs=8)
    result = inarch.train(made, out=tmp_path / "run")
    assert result.metrics["f1"].value > 0.9 and result.parity < 1e-5


def test_a_number_is_heard(recipe: Recipe, tmp_path: Path) -> None:
    rows = [(tone(0.5, 500 + 50 * number), number / 10) for number in range(40)]
    made = recipe(table(tmp_path, rows), head="regressor", metrics=["r2"], epochs=10)
    result = inarch.train(made, out=tmp_path / "run")
    assert result.metrics["r2"].value > 0.6 and result.parity < 1e-5


def test_sound_events_come_back_in_seconds_also_through_windows(recipe: Recipe, tmp_path: Path) -> None:
    made = recipe(table(tmp_path, events(60)), head="tagger", metrics=["event_f1"], epochs=10)
    result = inarch.train(made, out=tmp_path / "run")
    assert result.metrics["event_f1"].value > 0.7 and result.parity < 1e-5
    lines = read(tmp_path / "run" / "predictions" / "test.jsonl")
    assert all(0 <= s["start"] < s["end"] <= 1 and s["label"] in "ac" for line in lines for s in line["segments"])

    silence = np.zeros(3 * RATE, np.float32)
    long = np.concatenate([silence, tone(0.4, PITCH["a"]), silence[:RATE], tone(0.3, PITCH["c"]), silence])
    [found] = inarch.load(tmp_path / "run").predict([write(tmp_path / "long.wav", long)])
    heard = [s for s in found["segments"] if s["end"] - s["start"] > 0.1]
    assert [s["label"] for s in heard] == ["a", "c"]
    places = [place for s in heard for place in (s["start"], s["end"])]
    assert places == pytest.approx([3.0, 3.4, 4.4, 4.7], abs=0.1)
    assert len(found["tags"]) == pytest.approx(len(long) / 320, abs=10)  # frames of two windows need not lie alike


def test_tones_are_spelt(recipe: Recipe, tmp_path: Path) -> None:
    learns = {"strategy": {"name": "full", "head_multiplier": 10}, "epochs": 20, "rate": 0.005}
    rates = ["word_error_rate", "character_error_rate"]
    made = recipe(table(tmp_path, spelt(60)), head="ctc", metrics=rates, **learns)
    result = inarch.train(made, out=tmp_path / "run")
    assert result.metrics["character_error_rate"].value < 0.8 and result.parity < 1e-5  # 1 is silence
    assert result.metrics["word_error_rate"].value <= 1


def test_speakers_of_no_split_but_one_are_verified(recipe: Recipe, tmp_path: Path) -> None:
    for speaker in range(8):
        for take in range(6):
            samples = tone(0.7, 200 * 1.35**speaker + 3 * take, amplitude=0.2 + 0.02 * take)
            write(tmp_path / "voices" / f"s{speaker}_{take}.wav", samples)
    dataset = {"name": "folder", "path": str(tmp_path / "voices"), "names": "{speaker}_{take}", "target": "speaker",
               "group": "speaker"}  # fmt: skip
    made = recipe(dataset, head={"name": "embedder", "loss": "additive_margin"}, metrics=["equal_error_rate"],
                  splits={"valid": 0, "test": {"speaker": ["s2", "s5"]}}, epochs=8)  # fmt: skip
    result = inarch.train(made, out=tmp_path / "run")
    assert result.metrics["equal_error_rate"].value < 0.2 and result.parity < 1e-5
    found = inarch.load(tmp_path / "run").predict([tmp_path / "voices" / f"s2_{take}.wav" for take in range(2)])
    cosine = float(np.dot(found[0]["embedding"], found[1]["embedding"]))
    assert 0.5 < cosine <= 1 + 1e-6


def test_a_probe_moves_head_and_weights_of_layers_alone(recipe: Recipe, network: Network, tmp_path: Path) -> None:
    backbone = {"name": "transformers_audio", "model": str(network("wav2vec2-large")), "layers": "weighted",
                "duration": None}  # fmt: skip
    made = recipe(tones(tmp_path / "tones", 6), strategy="linear_probe", backbone=backbone)
    result = inarch.train(made, out=tmp_path / "run")
    assert result.parity < 1e-5
    before = load_file(network("wav2vec2-large") / "model.safetensors")
    after = load_file(tmp_path / "run" / "model" / "model.safetensors")
    kept = {name.removeprefix("backbone.model."): t for name, t in after.items() if name.startswith("backbone.model.")}
    assert set(kept) <= set(before) and len(kept) > 20
    assert all(tensor.equal(before[name]) for name, tensor in kept.items())
    assert after["backbone.layer_weights.weights"].abs().max() > 0


@pytest.mark.parametrize("name", ["whisper", "wav2vec2"])
def test_adapters_learn_tones_and_their_bundle_is_small(
    recipe: Recipe, network: Network, tmp_path: Path, name: str
) -> None:
    backbone = {"name": "transformers_audio", "model": str(network(name)), "duration": 1.0}
    made = recipe(tones(tmp_path / "tones", 6), strategy="lora", backbone=backbone, epochs=2)
    result = inarch.train(made, out=tmp_path / "run")
    kept = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert result.parity < 1e-5 and any("lora" in key for key in kept)
    assert not any(key.endswith("conv1.weight") for key in kept)
    assert len(inarch.load(tmp_path / "run").predict([tmp_path / "tones" / "low" / "0.wav"])) == 1


@pytest.mark.parametrize("backbone", ["speech_embedding", "spectrogram"])
def test_networks_of_spectrograms_train(recipe: Recipe, tmp_path: Path, backbone: str) -> None:
    options = {"name": backbone, "weights": "none", "duration": 1.0}
    if backbone == "spectrogram":
        options |= {"model": "resnet10t", "n_mels": 32}
    made = recipe(tones(tmp_path / "tones", 6), backbone=options, splits={"valid": 0, "test": 0.4})
    result = inarch.train(made, out=tmp_path / "run")
    assert result.parity < 1e-3 and 0 <= result.metrics["accuracy"].value <= 1  # logits of random networks are large


def losses(run: Path) -> list[float]:
    return [line["train"]["loss"] for line in read(run / "metrics.jsonl")]


def test_random_changes_are_the_same_for_any_number_of_workers(recipe: Recipe, tmp_path: Path) -> None:
    dataset = tones(tmp_path / "tones", 6)
    write(tmp_path / "noise" / "hiss.wav", 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32))
    augment = {"gain": 6, "shift": 0.1, "speed": [0.9, 1.1], "noise": str(tmp_path / "noise"), "mixup": 0.2,
               "time_masks": [2, 0.1], "frequency_masks": [1, 0.2]}  # fmt: skip
    made = recipe(dataset, epochs=2)
    changed: dict[str, Any] = {"backbone.augment": augment}
    inarch.train(made, changed, out=tmp_path / "alone")
    inarch.train(made, {**changed, "train.workers": 2}, out=tmp_path / "workers")
    inarch.train(made, out=tmp_path / "plain")
    assert losses(tmp_path / "alone") == losses(tmp_path / "workers") != losses(tmp_path / "plain")
