"""Weights files that are hostile, broken or do not fit."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from inarch import WeightsError, load_strictly, read_state
from inarch.weights import fingerprint

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("save", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state))])
def test_a_pickle_with_code_is_refused_and_the_code_is_not_run(save, tmp_path: Path) -> None:
    save({"weight": Hostile(tmp_path / "trace")}, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"weights\.pt: holds more than tensors.*safetensors"):
        read_state(tmp_path / "weights.pt")
    assert not (tmp_path / "trace").exists()


def test_a_recipe_with_such_weights_stops_with_one_message(toy_recipe: Path, tmp_path: Path, refused) -> None:
    torch.save({"weight": Hostile(tmp_path / "trace")}, tmp_path / "weights.pt")
    message = refused("train", toy_recipe, f"backbone.weights={tmp_path / 'weights.pt'}", light=False)
    assert "weights.pt: holds more than tensors" in message
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "wrap", [lambda state: state, lambda state: {"state_dict": state}, lambda state: {"model": state}]
)
def test_tensors_are_read_from_a_torch_file(wrap, tmp_path: Path) -> None:
    torch.save(wrap(STATE), tmp_path / "weights.pt")
    assert fingerprint(read_state(tmp_path / "weights.pt")) == fingerprint(STATE)


def test_tensors_are_read_from_a_safetensors_file(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "weights.safetensors")
    assert fingerprint(read_state(tmp_path / "weights.safetensors")) == fingerprint(STATE)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"nothing", b"\x80\x02}q\x00", b"PK\x03\x04broken"])
def test_a_broken_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        read_state(tmp_path / name)


def test_what_is_not_a_mapping_of_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="a mapping from names to tensors"):
        read_state(tmp_path / "weights.pt")


def test_weights_that_do_not_fit_are_listed() -> None:
    state = {"weight": torch.ones(3, 2), "gain": torch.ones(1)}
    with pytest.raises(WeightsError, match=r"1 missing: bias; 1 unexpected: gain; 1 of another shape: weight"):
        load_strictly(torch.nn.Linear(3, 2), state, "file")


def test_the_fingerprint_depends_on_names_types_shapes_and_bits() -> None:
    others = [{"a": torch.zeros(2)}, {"b": torch.zeros(2)}, {"a": torch.zeros(2, 1)}, {"a": torch.zeros(2).half()}]
    others += [{"a": torch.tensor([0.0, -0.0])}, {"a": torch.zeros(())}, {"a": torch.zeros(0)}]
    assert len({fingerprint(state) for state in others}) == len(others)
