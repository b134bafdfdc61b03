"""A run on recordings as the source model of another."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from audio.test_runs import tones
from safetensors.torch import load_file

import inarch
from inarch.training.progress import Progress

Recipe = Callable[..., Path]
Network = Callable[[str], Path]


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def backbone_of(run: Path) -> dict[str, torch.Tensor]:
    state = load_file(run / "model" / "model.safetensors")
    return {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}


def lent(recipe: Recipe, folder: Path, backbone: dict[str, Any], **other: Any) -> tuple[Path, Path, list[str]]:
    """Train a source model on tones, then a probe on its frozen backbone; return both runs and what was said."""
    data, told = tones(folder / "tones", 6), Told()
    source = inarch.train(recipe(data, backbone=backbone), out=folder / "source").directory
    again = {**backbone, "weights": str(source), **other}
    run = inarch.train(recipe(data, backbone=again, strategy="linear_probe"), out=folder / "run", progress=told)
    return source, run.directory, told.lines


SPECTROGRAM = {"name": "spectrogram", "model": "mobilenetv3_small_050", "weights": "none", "duration": 1.0,
               "n_mels": 32, "augment": {}}  # fmt: skip


def test_a_run_on_spectrograms_lends_its_backbone_to_the_bit_and_tells_another_rate(
    recipe: Recipe, tmp_path: Path
) -> None:
    source, run, told = lent(recipe, tmp_path, SPECTROGRAM, sample_rate=8000, f_max=4000.0)
    own, theirs = backbone_of(run), backbone_of(source)
    assert own.keys() == theirs.keys() and all(torch.equal(own[name], theirs[name]) for name in own)
    assert any(
        line.startswith("the source model had other options: ") and "sample_rate 16000 there, 8000 here" in line
        for line in told
    )


@pytest.mark.parametrize("family", ["whisper", "wav2vec2"])
def test_a_run_of_a_model_of_transformers_lends_its_backbone_and_its_layers_weights(
    recipe: Recipe, network: Network, tmp_path: Path, family: str
) -> None:
    backbone = {"name": "transformers_audio", "model": str(network(family)), "duration": 1.0, "layers": "weighted"}
    source, run, _ = lent(recipe, tmp_path, backbone)
    own, theirs = backbone_of(run), backbone_of(source)
    assert own.keys() == theirs.keys() and "backbone.layer_weights.weights" in own
    own.pop("backbone.layer_weights.weights")  # a probe trains them as the head
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    assert json.loads((run / "environment.json").read_text())["source"]["differs"] == {}


def test_whispers_positions_for_another_duration_are_told_by_that_option(
    recipe: Recipe, network: Network, tmp_path: Path
) -> None:
    backbone = {"name": "transformers_audio", "model": str(network("whisper")), "duration": 1.0}
    with pytest.raises(inarch.WeightsError, match=r"of another shape: model.*positions.*duration 1.0 there, 0.5 here"):
        lent(recipe, tmp_path, backbone, duration=0.5)
