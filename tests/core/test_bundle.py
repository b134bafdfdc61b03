"""Promise 4, serving equals training."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import TOY, write_vectors
from inarch_toy.backbone import Vectors
from safetensors.torch import save_file

import inarch
from inarch import bundle


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose original weights are gone when it is over."""
    folder = tmp_path_factory.mktemp("bundle")
    data = write_vectors(folder / "vectors.csv")
    save_file(Vectors("none", 4, 8, 2, 0.0, True, 0.0, False, 0).state_dict(), folder / "weights.safetensors")
    (folder / "toy.yaml").write_text(
        f"dataset: {{name: table, path: {data}, input: vector, target: class}}\n"
        f"backbone: {{name: vectors, norm: true, weights: {folder / 'weights.safetensors'}}}\n"
        "head: classifier\nstrategy: full\nmetrics: [accuracy]\n"
        "train: {epochs: 2, batch_size: 8, learning_rate: 0.02, workers: 0}\n"
    )
    inarch.train(folder / "toy.yaml", out=folder / "run")
    (folder / "weights.safetensors").unlink()
    return folder / "run"


def predicted(run: Path) -> tuple[list[str], list[dict[str, object]]]:
    """Raw inputs of the test split as the data gives them, and what evaluation in training answered."""
    lines = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    rows = (run.parent / "vectors.csv").read_text().splitlines()
    numbers = [int("".join(filter(str.isdigit, line["place"].rsplit(",", 1)[-1]))) for line in lines]
    return [rows[number - 1].split(",")[0] for number in numbers], lines


def test_predictions_equal_those_of_evaluation_in_training(run: Path) -> None:
    inputs, lines = predicted(run)
    found = inarch.load(run).predict(inputs, batch_size=8)
    assert found == [{name: line[name] for name in ("class", "score", "scores")} for line in lines]


def test_the_largest_difference_between_training_and_serving_is_written_down(run: Path) -> None:
    description = json.loads((run / "model" / "bundle.json").read_text())
    assert description["parity"]["examples"] == 9
    assert 0 <= description["parity"]["largest_difference"] < 1e-5
    assert json.loads((run / "results.json").read_text())["parity"] == description["parity"]["largest_difference"]


def test_a_transform_that_serves_otherwise_than_it_evaluates_is_an_error(
    toy_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    transform = Vectors.transform

    def drifting(self: Vectors, training: bool) -> object:
        calls.append(training)
        made = transform(self, training)
        made.noise = 0.5 if calls.count(False) > 3 else made.noise  # train, valid, test, then the bundle
        return made

    monkeypatch.setattr(Vectors, "transform", drifting)
    with pytest.raises(inarch.RunError, match="serving differs from training by"):
        inarch.train(toy_recipe, out=tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


ALONE = """
import socket, sys
def refused(*_): raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = refused
import inarch
print(inarch.load(sys.argv[1]).predict(["1 2 3 4"])[0]["class"])
"""


def test_a_bundle_opens_alone_in_a_fresh_process_without_network_and_original_weights(
    run: Path, tmp_path: Path
) -> None:
    model = (run / "model").rename(tmp_path / "elsewhere")
    try:
        ended = subprocess.run(
            [sys.executable, "-c", ALONE, model], env={**os.environ, "PYTHONPATH": str(TOY)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ended.stdout.strip() == inarch.load(model).predict(["1 2 3 4"])[0]["class"], ended.stderr
    finally:
        model.rename(run / "model")


@pytest.mark.parametrize("name", ["model.safetensors", "bundle.json"])
def test_a_damaged_bundle_is_refused(run: Path, name: str) -> None:
    path = run / "model" / name
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(inarch.RunError, match=f"damaged and is not used: {name} does not match its hash"):
            inarch.load(run)
    finally:
        path.write_bytes(whole)


def test_a_folder_without_a_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(inarch.RunError, match="no bundle here"):
        inarch.load(tmp_path)


def test_predictions_stream_one_batch_at_a_time(run: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[str]:
        while True:
            taken.append(1)
            yield "1 2 3 4"

    stream = inarch.load(run).stream(endless(), batch_size=5)
    for expected in (5, 5, 5, 5, 5, 10):
        next(stream)
        assert len(taken) == expected


def test_an_unreadable_input_raises_or_is_reported_in_its_place(run: Path) -> None:
    opened = inarch.load(run)
    with pytest.raises(inarch.RunError, match="1 2: expected 4 numbers, found 2"):
        opened.predict(["1 2 3 4", "1 2"])
    found = list(opened.stream(["1 2", "1 2 3 4", "x"], skip_unreadable=True))
    assert [raw for raw, _ in found] == ["1 2", "1 2 3 4", "x"]
    assert found[0][1] == {"error": "expected 4 numbers, found 2"}
    assert "class" in found[1][1] and "error" in found[2][1]


def test_no_input_gives_no_prediction(run: Path) -> None:
    assert inarch.load(run).predict([]) == []


def test_outputs_come_in_the_order_of_the_classes(run: Path) -> None:
    opened: bundle.Bundle = inarch.load(run)
    assert opened.classes == ("cold", "warm")
    scores = opened.outputs(["1 2 3 4"]).softmax(-1)[0]
    [prediction] = opened.predict(["1 2 3 4"])
    assert torch.tensor([prediction["scores"][name] for name in opened.classes]).allclose(scores.cpu())
