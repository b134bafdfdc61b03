"""Streamed data: the hub's reader on a local file, without a network."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

import inarch
from inarch.checkpoint import file_hash
from inarch.training.progress import Progress

# The csv reader of `datasets` leaves closing its files to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """Collect such files here, and not in the middle of a later test."""
    yield
    gc.collect()


@pytest.fixture
def streamed(tmp_path: Path, vectors: Path) -> Path:
    """A recipe that streams the table of vectors."""
    path = tmp_path / "streamed.yaml"
    path.write_text(
        f"dataset: {{name: hub, path: csv, data_files: {{train: {vectors}}}, input: vector, target: class,\n"
        "  streaming: true, examples: 60, classes: [cold, warm]}\n"
        "backbone: {name: vectors, noise: 0.1, dropout: 0.2}\nhead: classifier\nstrategy: full\nmetrics: [accuracy]\n"
        "train: {epochs: 3, batch_size: 8, learning_rate: 0.02, workers: 0, precision: fp32, checkpoint_every: 1}\n"
    )
    return path


def test_a_stream_trains_to_the_same_bits_with_and_without_a_loader_process(streamed: Path, tmp_path: Path) -> None:
    for workers in (0, 1):
        result = inarch.train(streamed, {"train.workers": workers}, out=tmp_path / str(workers))
        assert result.split == "train"
    for name in ("metrics.jsonl", "model/model.safetensors", "predictions/train.jsonl"):
        assert file_hash(tmp_path / "0" / name) == file_hash(tmp_path / "1" / name), name


class Stop(Progress):
    def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
        if done == 13:
            raise KeyboardInterrupt


def test_a_stream_stopped_within_an_epoch_and_resumed_ends_with_the_same_bits(streamed: Path, tmp_path: Path) -> None:
    inarch.train(streamed, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        inarch.train(streamed, out=tmp_path / "stopped", progress=Stop())
    inarch.train(streamed, out=tmp_path / "stopped", resume=True)
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert file_hash(tmp_path / "whole" / name) == file_hash(tmp_path / "stopped" / name), name


def test_a_stream_shorter_than_the_recipe_says_is_an_error(streamed: Path, tmp_path: Path) -> None:
    with pytest.raises(inarch.DataError, match="the stream ended after 60 of 90 rows"):
        inarch.train(streamed, {"dataset.examples": 90}, out=tmp_path / "run")
