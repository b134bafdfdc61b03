"""Bundles of torchaudio as backbones."""

import re

import pytest
import torch
from safetensors.torch import save_file
from tiny_audio import LENGTHS, alone, bundle, farthest, noise, stir, whole
from torchaudio import pipelines

from inarch import RecipeError, WeightsError
from inarch_audio import builders
from inarch_audio.augment import Augment

GROUP_NORM = ["WAV2VEC2_BASE", "HUBERT_BASE", "WAVLM_BASE_PLUS"]
LAYER_NORM = ["WAV2VEC2_LARGE_LV60K", "HUBERT_LARGE", "WAVLM_LARGE", "WAV2VEC2_XLSR_300M"]


@pytest.fixture
def narrow(monkeypatch):
    """Put narrow bundles in the place of torchaudio's own."""

    def put(name, **changes):
        monkeypatch.setattr(pipelines, name, bundle(name, **changes))
        return getattr(pipelines, name)

    return put


@pytest.fixture
def build(narrow):
    def built(name, **options):
        narrow(name)
        return stir(builders.torchaudio(**{"model": name, "weights": "none", **options}))

    return built


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """The folder where torch looks for what it has downloaded before."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def saved(found, path, rows=None):
    """Save random weights of a bundle as torchaudio's servers have them, with old names and `rows` of labels."""
    params = {**found._params, "aux_num_out": rows}
    state = stir(pipelines._wav2vec2.utils._get_model(found._model_type, params)).state_dict()
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    for new, name in old.items():
        state = {key.replace(new, name): tensor for key, tensor in state.items()}
    torch.save(state, path)
    return state


@pytest.mark.parametrize("layers", ["last", "weighted"])
@pytest.mark.parametrize("name", GROUP_NORM + LAYER_NORM)
def test_padding_changes_nothing(build, name, layers):
    assert farthest(build(name, layers=layers), noise()) < 1e-5


@pytest.mark.parametrize("name", GROUP_NORM)
def test_group_norm_models_never_see_padding(build, monkeypatch, name):
    backbone, seen = build(name), []

    def encode(waveform, samples):
        seen.append((waveform.shape, samples))
        return [torch.zeros(len(waveform), 1, 16)]

    monkeypatch.setattr(backbone, "encode", encode)
    backbone(**noise())
    assert seen == [((1, 400), None), ((2, 7760), None), ((1, 12240), None), ((1, 15760), None)]


@pytest.mark.parametrize("name", GROUP_NORM)
def test_examples_of_as_many_tokens_are_heard_together_for_no_token_sees_the_last_samples(build, name):
    backbone, example = build(name), alone(noise(), 3)
    with torch.no_grad():
        assert torch.equal(backbone(**example).tokens, backbone(**whole(example)).tokens)


@pytest.mark.parametrize("name", LAYER_NORM)
def test_layer_norm_models_would_be_changed_by_padding_without_a_mask(build, monkeypatch, name):
    backbone = build(name)
    encode = backbone.encode
    monkeypatch.setattr(backbone, "encode", lambda waveform, samples: encode(waveform, None))
    assert farthest(backbone, noise()) > 1e-3


@pytest.mark.parametrize("name", GROUP_NORM + LAYER_NORM)
def test_features_are_those_of_the_model_that_torchaudio_makes(narrow, downloads, name):
    found = narrow(name)
    saved(found, downloads / found._path)
    backbone = builders.torchaudio(model=name).eval()
    backbone.load_weights()
    example = whole(alone(noise(), 3))
    with torch.no_grad():
        expected, _ = found.get_model()(example["waveform"])
        assert torch.allclose(backbone(**example).tokens, expected, atol=1e-5)


def test_the_states_of_layers_are_those_that_torchaudio_gives(narrow, downloads):
    found = narrow("WAV2VEC2_BASE")
    saved(found, downloads / found._path)
    backbone = builders.torchaudio(model="WAV2VEC2_BASE").eval()
    backbone.load_weights()
    waveform = alone(noise(), 0)["waveform"]
    with torch.no_grad():
        expected, _ = found.get_model().extract_features(waveform)
        states = backbone.encode(waveform, None)
    assert len(states) == 3
    assert all(torch.equal(state, own) for state, own in zip(states[1:], expected, strict=True))


def test_the_layer_for_labels_is_left_out(narrow, downloads):
    found = narrow("WAV2VEC2_ASR_BASE_960H")
    state = saved(found, downloads / found._path, rows=32)
    backbone = builders.torchaudio(model="WAV2VEC2_ASR_BASE_960H")
    backbone.load_weights()
    assert len(backbone.model.state_dict()) == len(state) - 2
    key = "encoder.feature_projection.projection.weight"
    assert torch.equal(backbone.model.state_dict()[key], state[key])


def test_a_bundle_that_cannot_be_fetched_says_what_to_do(narrow, downloads):
    narrow("WAV2VEC2_BASE", _path="https://localhost:1/tiny.pth")
    backbone = builders.torchaudio(model="WAV2VEC2_BASE")
    told = f"WAV2VEC2_BASE could not be fetched (URLError: .*put the file tiny.pth of torchaudio into {downloads}"
    with pytest.raises(WeightsError, match=told.replace("(", r"\(")):
        backbone.load_weights()


def test_a_download_that_would_run_code_is_refused(narrow, downloads):
    found = narrow("WAV2VEC2_BASE")
    torch.save({"weight": re.compile("a")}, downloads / found._path)
    with pytest.raises(WeightsError, match="UnpicklingError"):
        builders.torchaudio(model="WAV2VEC2_BASE").load_weights()


def test_weights_of_a_file_are_loaded_strictly(build, tmp_path):
    backbone, path = build("HUBERT_BASE"), tmp_path / "state.safetensors"
    state = backbone.model.state_dict()
    save_file(state, path)
    other = build("HUBERT_BASE", weights=str(path))
    other.load_weights()
    assert all(torch.equal(tensor, state[name]) for name, tensor in other.model.state_dict().items())
    del state["encoder.transformer.layer_norm.bias"]
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"1 missing: encoder\.transformer\.layer_norm\.bias"):
        other.load_weights()


def test_every_bundle_of_torchaudio_is_known_by_its_name(monkeypatch):
    names = [name for name, found in vars(pipelines).items() if isinstance(found, pipelines.Wav2Vec2Bundle)]
    assert {"WAV2VEC2_XLSR53", "VOXPOPULI_ASR_BASE_10K_DE", "HUBERT_ASR_XLARGE", "WAVLM_BASE", "MMS_FA"} <= set(names)
    for name in names:
        monkeypatch.setattr(pipelines, name, bundle(name))
        backbone = builders.torchaudio(model=name, weights="none")
        assert backbone.num_features == 16 and backbone.hop == 320 and backbone.pipeline.least == 400


def test_a_name_that_is_none_is_an_error_with_the_nearest():
    with pytest.raises(RecipeError, match=r"bundle of torchaudio 'wav2vec2-base'\. Did you mean 'WAV2VEC2_BASE'"):
        builders.torchaudio(model="wav2vec2-base")


def test_another_rate_than_that_of_the_weights_is_an_error(narrow):
    narrow("WAV2VEC2_BASE")
    with pytest.raises(RecipeError, match="sample_rate: WAV2VEC2_BASE was trained on 16000 Hz, found 8000"):
        builders.torchaudio(model="WAV2VEC2_BASE", sample_rate=8000)


def test_masks_of_a_spectrogram_are_an_error(narrow):
    narrow("WAV2VEC2_BASE")
    with pytest.raises(RecipeError, match="WAV2VEC2_BASE hears the waveform itself; leave them out"):
        builders.torchaudio(model="WAV2VEC2_BASE", augment=Augment(time_masks=(2, 0.1)))


def test_a_duration_of_less_than_one_token_is_an_error(narrow):
    narrow("WAV2VEC2_BASE")
    with pytest.raises(RecipeError, match=r"duration: WAV2VEC2_BASE needs at least 0\.025 seconds, found 0\.01"):
        builders.torchaudio(model="WAV2VEC2_BASE", duration=0.01)


def test_lengths_are_those_of_the_convolutions(build):
    backbone = build("WAVLM_LARGE")
    batch = noise()
    tokens = backbone.frames(batch["samples"]).tolist()
    assert tokens == [49, 1, 24, 38, 24]
    for index, count in enumerate(tokens):
        assert backbone.model.feature_extractor(alone(batch, index)["waveform"], None)[0].shape[1] == count


@pytest.mark.parametrize("name", ["WAV2VEC2_BASE", "WAV2VEC2_LARGE_LV60K"])
def test_a_recording_shorter_than_one_token_is_one_token(build, name):
    backbone = build(name)
    batch = {**noise([400, 400]), "samples": torch.tensor([90, 0])}
    features = backbone(**batch)
    assert features.mask.tolist() == [[True], [True]] and features.tokens.isfinite().all()


@pytest.mark.parametrize("name", ["WAV2VEC2_BASE", "WAV2VEC2_LARGE_LV60K", "WAVLM_BASE", "WAVLM_LARGE"])
@pytest.mark.parametrize("layers", ["last", "weighted"])
def test_layers_hold_every_parameter_once_from_input_to_output(build, name, layers):
    backbone = build(name, layers=layers)
    found = backbone.layers()
    names = [name for layer in found for name in layer]
    assert sorted(names) == sorted(name for name, _ in backbone.named_parameters())
    assert all(name.startswith("model.feature_extractor.") for name in found[0])
    assert any("pos_conv_embed" in name for name in found[1])
    assert all(".layers.0." in name for name in found[2]) and all(".layers.1." in name for name in found[3])
    assert backbone.fresh == ({"layer_weights.weights"} if layers == "weighted" else set())
    assert set(found[-1]) >= backbone.fresh


@pytest.mark.parametrize("name", ["WAV2VEC2_BASE", "WAVLM_LARGE"])
def test_every_parameter_learns_also_when_activations_are_computed_again(build, name):
    backbone = build(name, layers="weighted").train()
    for module in backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    backbone.model.encoder.transformer.layers.eval()  # attention's own dropout
    gradients = []
    for _ in range(2):
        backbone.zero_grad()
        backbone(**noise()).pooled.square().sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in backbone.named_parameters()})
        backbone.gradient_checkpointing()
    assert all(torch.allclose(gradients[1][name], grad, atol=1e-5) for name, grad in gradients[0].items())


@pytest.mark.parametrize("name", ["WAV2VEC2_BASE", "WAV2VEC2_LARGE_LV60K", "WAVLM_LARGE"])
def test_half_precision_gives_nearly_the_same(build, name):
    backbone = build(name)
    with torch.no_grad():
        exact = backbone(**noise()).pooled
        with torch.autocast("cpu", torch.bfloat16):
            rough = backbone(**noise())
    assert rough.pooled.dtype == torch.float32
    assert torch.allclose(rough.pooled, exact, atol=0.15)


def test_a_backbone_is_made_again_from_what_it_resolved(build, narrow):
    backbone = build("WAV2VEC2_LARGE_LV60K", layers="weighted", duration=1.5)
    again = builders.torchaudio(**backbone.resolved).eval()
    again.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        assert torch.equal(again(**noise()).pooled, backbone(**noise()).pooled)


def test_a_batch_of_equal_lengths_needs_no_mask(build, monkeypatch):
    backbone, seen = build("WAVLM_LARGE"), []
    encode = backbone.encode
    monkeypatch.setattr(backbone, "encode", lambda waveform, samples: seen.append(samples) or encode(waveform, samples))
    backbone(**noise([LENGTHS[2]] * 2))
    assert seen == [None]
