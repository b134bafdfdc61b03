"""ONNX files, written by hand, and files that are none."""

import struct

import pytest
import torch
from audio.onnx_files import message, model, number, tensor, varint

from inarch import WeightsError
from inarch_audio.onnx_weights import read_onnx


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return path

    return write


def test_tensors_of_all_kinds_of_numbers_are_read(write):
    found = read_onnx(write(model(
        tensor("raw", 1, [2, 2], message(9, struct.pack("<4f", 1, -2, 3.5, 0))),
        tensor("listed", 1, [3], message(4, struct.pack("<3f", 1, 2, 3))),
        tensor("half", 10, [2], message(9, struct.pack("<2e", 0.5, -4))),
        tensor("double", 11, [], message(9, struct.pack("<d", 0.25))),
        tensor("shape", 7, [2], message(9, struct.pack("<2q", -1, 96))),
        tensor("longs", 7, [2], message(7, varint(-1) + varint(300))),
    )))  # fmt: skip
    expected = {
        "raw": torch.tensor([[1, -2], [3.5, 0]]),
        "listed": torch.tensor([1.0, 2, 3]),
        "half": torch.tensor([0.5, -4], dtype=torch.float16),
        "double": torch.tensor(0.25, dtype=torch.float64),
        "shape": torch.tensor([-1, 96]),
        "longs": torch.tensor([-1, 300]),
    }
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in expected.items())


def test_the_shape_may_be_packed(write):
    packed = message(1, varint(2) + varint(3)) + number(2, 1) + message(8, b"w") + message(9, bytes(24))
    assert read_onnx(write(model(packed)))["w"].shape == (2, 3)


def test_what_no_weights_are_made_of_is_left_out(write):
    content = model(tensor("text", 8, [1], message(6, b"hello")), tensor("w", 1, [1], message(9, bytes(4))))
    assert list(read_onnx(write(content))) == ["w"]


WHOLE = model(tensor("w", 1, [8], message(9, bytes(range(32)))))


@pytest.mark.parametrize("length", range(0, len(WHOLE) - 4))  # the last four bytes are a field by themselves
def test_a_file_that_is_cut_short_is_refused_wherever_it_ends(write, length):
    with pytest.raises(WeightsError, match="not an ONNX file that can be read"):
        read_onnx(write(WHOLE[:length]))


@pytest.mark.parametrize("content, reason", [
    (b"", "no graph"),
    (b"This is a text and no model of any kind.\n" * 9, "not an ONNX file"),
    (b"PK\x03\x04" + bytes(60), "not an ONNX file"),
    (b"\xff" * 64, "starts no number"),
    (message(8, b"opset"), "no graph"),
    (model(tensor("w", 1, [3], message(9, bytes(8)))), "'w' has 8 bytes, and should have"),
    (model(tensor("w", 1, [2, -1], message(9, bytes(8)))), "'w' has 8 bytes"),
    (model(tensor("w", 1, [2], message(13, b"elsewhere"), number(14, 1))), "in another file"),
    (model(message(8, b"\xff\xfe")), "not an ONNX file"),
], ids=range(9))  # fmt: skip
def test_what_is_no_onnx_file_is_refused_with_the_reason(write, content, reason):
    with pytest.raises(WeightsError, match=f"model.onnx: not an ONNX file that can be read: .*{reason}|{reason}"):
        read_onnx(write(content))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nothing.onnx", tmp_path):
        with pytest.raises(WeightsError, match="not an ONNX file that can be read"):
            read_onnx(path)
