"""wav2vec 2.0, HuBERT and WavLM of transformers as backbones, and what AST has in common with them."""

import json

import pytest
import torch
import transformers
from tiny_audio import alone, farthest, folders, noise, opened, save, whole
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from inarch import RecipeError
from inarch_audio import builders
from inarch_audio.augment import Augment

GROUP_NORM, LAYER_NORM = ["wav2vec2", "hubert", "wavlm"], ["wav2vec2-large", "hubert-large", "wavlm-large"]
WAVES = GROUP_NORM + LAYER_NORM


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return folders(tmp_path_factory)


@pytest.fixture
def build(folder):
    def built(name, **options):
        path = folder(name) if isinstance(name, str) else name
        return opened(path, **{"duration": 1.0 if name == "ast" else None, **options})

    return built


@pytest.mark.parametrize("layers", ["last", "weighted"])
@pytest.mark.parametrize("name", [*WAVES, "ast"])
def test_padding_and_the_batch_change_nothing(build, name, layers):
    assert farthest(build(name, layers=layers), noise(), cut=name != "ast") < 1e-5


@pytest.mark.parametrize("name", WAVES)
def test_features_are_those_of_transformers(folder, build, name):
    network = AutoModel.from_pretrained(folder(name)).eval()
    example = whole(alone(noise(), 3))
    values = Wav2Vec2FeatureExtractor()(example["waveform"][0].numpy(), sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        expected = network(values["input_values"]).last_hidden_state
        assert torch.allclose(build(name)(**example).tokens, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["wav2vec2", "hubert-large", "wavlm-large"])
def test_the_states_of_layers_begin_before_the_first_block(folder, build, name):
    backbone = build(name, layers="weighted")
    entered = []
    backbone.model.encoder.layers[0].register_forward_pre_hook(lambda block, given: entered.append(given[0].clone()))
    with torch.no_grad():
        states = backbone.encode(noise()["waveform"], None)
    assert len(states) == 3 and torch.equal(states[0], entered[0])
    with torch.no_grad():
        assert torch.equal(states[-1], build(name).encode(noise()["waveform"], None)[-1])


def test_waveforms_are_normalised_as_the_model_says(build, tmp_path):
    save("wavlm", tmp_path)
    example = whole(alone(noise(), 0))
    louder = {**example, "waveform": 3 * example["waveform"]}
    with torch.no_grad():
        backbone = build(tmp_path)
        assert torch.allclose(backbone(**example).tokens, backbone(**louder).tokens, atol=1e-4)
        told = {"do_normalize": False, "sampling_rate": 16000}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
        backbone = build(tmp_path)
        plain = backbone.model(example["waveform"]).last_hidden_state
        assert torch.equal(backbone(**example).tokens, plain)


@pytest.mark.parametrize("name", ["wav2vec2", "hubert-large", "wavlm", "ast"])
@pytest.mark.parametrize("layers", ["last", "weighted"])
def test_layers_hold_every_parameter_once_from_input_to_output(build, name, layers):
    backbone = build(name, layers=layers)
    found = backbone.layers()
    assert sorted(name for layer in found for name in layer) == sorted(name for name, _ in backbone.named_parameters())
    first = "model.embeddings." if name == "ast" else "model.feature_extractor."
    assert all(name.startswith(first) for name in found[0])
    blocks = [layer for layer in found if ".layers." in layer[0]]
    assert [layer[0].split(".layers.")[1][0] for layer in blocks] == ["0", "1"]
    assert backbone.fresh <= set(found[-1]) and len(backbone.fresh) == (layers == "weighted")


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm-large", "ast"])
def test_every_parameter_learns_and_training_draws_nothing_but_dropout(build, name):
    backbone = build(name, layers="weighted").train()
    for module in backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):  # of attention
            module.dropout = 0.0
    first, second = (backbone(**noise()).pooled for _ in range(2))
    assert torch.equal(first, second)
    first.square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_frozen_convolutions_need_no_gradient(build):
    backbone = build("wav2vec2").train()
    backbone.model.feature_extractor.requires_grad_(False)
    assert not backbone.model.feature_extractor(noise()["waveform"]).requires_grad


@pytest.mark.parametrize("name", ["wav2vec2-large", "ast"])
def test_gradient_checkpointing_changes_no_gradient(build, name):
    gradients = []
    for again in (False, True):
        backbone = build(name)
        backbone.train()
        for module in backbone.modules():
            module.training = isinstance(module, transformers.modeling_layers.GradientCheckpointingLayer)
        if again:
            backbone.gradient_checkpointing()
        backbone(**noise()).pooled.square().sum().backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm-large", "ast"])
def test_half_precision_gives_nearly_the_same(build, name):
    backbone = build(name)
    with torch.no_grad():
        exact = backbone(**noise()).pooled
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.allclose(backbone(**noise()).pooled.float(), exact, atol=0.15)


def test_masks_of_a_spectrogram_are_an_error_for_models_that_hear_waveforms(folder):
    with pytest.raises(RecipeError, match="hears the waveform itself; leave them out"):
        builders.transformers_audio(
            model=str(folder("wavlm")), duration=None, augment=Augment(frequency_masks=(1, 0.1))
        )


@pytest.mark.parametrize("layers", ["last", "weighted"])
@pytest.mark.parametrize("name", [*WAVES, "ast", "whisper"])
def test_depth_keeps_the_first_blocks_with_their_weights(build, name, layers):
    duration = {"ast": 1.0, "whisper": 0.98}.get(name)
    full, half = (build(name, layers=layers, depth=depth, duration=duration) for depth in (None, 1))
    assert len(half.layers()) == len(full.layers()) - 1
    weights = full.state_dict()
    kept = {key: tensor for key, tensor in half.state_dict().items() if "layer_weights" not in key}
    assert all(torch.equal(tensor, weights[key]) for key, tensor in kept.items())
    with torch.no_grad():
        example = whole(alone(noise(), 0))
        assert half(**example).tokens.shape == full(**example).tokens.shape


def test_a_depth_that_a_model_does_not_have_is_refused(build):
    with pytest.raises(RecipeError, match=r"backbone.depth: .* has 2 blocks, found 3"):
        build("wav2vec2", depth=3)
