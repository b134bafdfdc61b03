"""Spectrograms in front of models of timm, with random weights and without a network."""

import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file

from inarch import Features, RecipeError, WeightsError
from inarch_audio import builders
from inarch_audio.augment import Augment

RATE, SECONDS, BANDS = 8000, 1.0, 64
MODELS = {  # D; columns of 100 frames in all, and of 45
    "test_vit": (64, 7, 3),
    "test_efficientnet": (256, 4, 2),
    "test_resnet": (96, 4, 2),
    "test_convnext": (64, 4, 2),
    "swin_tiny_patch4_window7_224": (768, 4, 2),
    "densenet121": (1024, 4, 2),
}


def spectrogram(model="test_efficientnet", weights="none", **options):
    settings = {"sample_rate": RATE, "duration": SECONDS, "n_mels": BANDS, **options}
    return builders.spectrogram(model=model, weights=str(weights), **settings)


def noise(*seconds):
    """Return raw recordings of so many seconds."""
    generator = torch.Generator().manual_seed(0)
    lengths = [round(duration * RATE) for duration in seconds]
    return [{"array": torch.randn(n, generator=generator).numpy() / 10, "sampling_rate": RATE} for n in lengths]


def batch(backbone, raws):
    transform = backbone.transform(False)
    return backbone.collate([transform(raw) for raw in raws])


def features(backbone, raws):
    backbone.eval()
    with torch.no_grad():
        return backbone(**batch(backbone, raws))


@pytest.mark.parametrize("model", ["test_vit", "test_efficientnet", "test_resnet", "test_convnext"])
def test_one_channel_is_seen_like_three_equal_ones(model, tmp_path):
    loaded = spectrogram(model)
    size = {"img_size": loaded.network.size} if "vit" in model else {}
    images = timm.create_model(model, num_classes=7, **size).eval()
    save_file(images.state_dict(), tmp_path / "weights.safetensors")
    loaded = spectrogram(model, tmp_path / "weights.safetensors").eval()
    loaded.load_weights()
    one = torch.randn(2, 1, *loaded.network.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        three = images.forward_head(images.forward_features(one.repeat(1, 3, 1, 1)), pre_logits=True)
        assert torch.allclose(loaded.network(one)[0], three, atol=1e-5)
    assert three.std() > 0


def test_positions_of_square_images_are_resized_to_spectrograms(tmp_path):
    images = timm.create_model("test_vit", num_classes=7)
    save_file(images.state_dict(), tmp_path / "weights.safetensors")
    loaded = spectrogram("test_vit", tmp_path / "weights.safetensors")
    before = loaded.network.model.pos_embed.clone()
    loaded.load_weights()
    assert images.pos_embed.shape[1] == 101 and before.shape[1] == 29
    assert not torch.equal(before, loaded.network.model.pos_embed)
    assert torch.equal(loaded.network.model.blocks[5].mlp.fc1.weight, images.blocks[5].mlp.fc1.weight)


def test_weights_that_saw_one_channel_before_load_as_they_are(tmp_path):
    source = spectrogram().network.model.state_dict()
    save_file(source, tmp_path / "weights.safetensors")
    loaded = spectrogram(weights=tmp_path / "weights.safetensors")
    loaded.load_weights()
    assert all(torch.equal(tensor, source[name]) for name, tensor in loaded.network.model.state_dict().items())


@pytest.mark.parametrize("change, message", [
    (lambda state: state.pop("bn2.weight"), "bn2.weight"),
    (lambda state: state.update(extra=torch.zeros(1)), "extra"),
    (lambda state: state.update({"bn2.weight": torch.zeros(5)}), "bn2.weight"),
    (lambda state: state.update({"conv_stem.weight": torch.zeros(16, 4, 3, 3)}), "conv_stem"),
])  # fmt: skip
def test_weights_that_do_not_fit_are_refused_by_name(change, message, tmp_path):
    state = timm.create_model("test_efficientnet").state_dict()
    change(state)
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=f"do not fit test_efficientnet(.|\n)*{message}"):
        spectrogram(weights=tmp_path / "weights.safetensors").load_weights()


@pytest.mark.parametrize("model, expected", MODELS.items())
def test_features_have_the_promised_shapes(model, expected):
    width, columns, reached = expected
    backbone = spectrogram(model)
    assert backbone.training
    found = features(backbone, noise(1.0, 0.45))
    filled = {name for name in Features._fields if getattr(found, name) is not None} - {"mask", "places"}
    assert filled == backbone.provides == {"pooled", "tokens", "units"}
    assert found.pooled.shape == (2, width) and backbone.num_features == width
    assert found.tokens.shape == (2, columns, width)
    assert found.mask.sum(1).tolist() == [columns, reached]
    assert found.units[1].tolist() == [*range(reached), *[-1] * (columns - reached)]


def test_a_model_whose_map_is_narrower_than_its_features_has_no_tokens():
    backbone = spectrogram("mobilenetv3_small_050")
    assert backbone.provides == {"pooled"}
    found = features(backbone, noise(1.0))
    assert found.tokens is None and found.pooled.shape == (1, backbone.num_features)


@pytest.mark.parametrize("model", ["test_vit", "test_efficientnet"])
def test_a_recording_alone_and_in_a_batch_has_the_same_features(model):
    backbone, raws = spectrogram(model), noise(1.0, 0.3, 0.001, 0.77)
    together = features(backbone, raws)
    for index, raw in enumerate(raws):
        alone = features(backbone, [raw])
        for name in ("pooled", "tokens", "places"):
            assert torch.allclose(getattr(alone, name)[0], getattr(together, name)[index], atol=1e-5)


def test_places_tell_the_seconds_of_each_column_inside_a_longer_recording():
    backbone = spectrogram()
    [raw] = noise(2.5)
    windows = backbone.windows(raw)
    found = features(backbone, [windows[0], windows[-1]])
    assert found.places[0, :, 0].tolist() == pytest.approx([0, 0.32, 0.64, 0.96])
    assert found.places[1, :, 0].tolist() == pytest.approx([1.5, 1.82, 2.14, 2.46])
    assert torch.allclose(found.places[:, :, 1] - found.places[:, :, 0], torch.tensor(0.32))


def test_what_fills_no_column_is_heard_all_the_same():
    """ConvNeXt drops what its strides do not divide; 127 frames would be three columns, and the last 0.31 s lost."""
    backbone = spectrogram("test_convnext", duration=1.27)
    assert backbone.network.size == (BANDS, 128)
    [raw] = noise(1.27)
    quiet = {**raw, "array": raw["array"].copy()}
    quiet["array"][-RATE // 5 :] = 0
    found = features(backbone, [raw, quiet])
    assert found.mask.sum(1).tolist() == [4, 4]
    assert not torch.allclose(found.pooled[0], found.pooled[1], atol=1e-3)


def test_the_front_end_stays_in_full_precision_where_the_network_does_not():
    backbone, waveform = spectrogram(), torch.rand(1, RATE) - 0.5
    expected = backbone.log_mel(waveform)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(backbone.log_mel(waveform), expected)
        assert backbone.network(expected[:, None])[0].dtype == torch.bfloat16


def test_what_masks_cover_is_the_mean():
    backbone, waveform = spectrogram(), torch.rand(2, RATE) - 0.5
    masks = torch.tensor([[[0, 0.25, 0.5], [1, 0.0, 0.125]], [[0, 0.9, 1.0], [1, 0.5, 0.5]]])
    plain, masked = backbone.log_mel(waveform), backbone.log_mel(waveform, masks)
    covered = torch.zeros(2, BANDS, 100, dtype=torch.bool)
    covered[0, :, 25:50] = covered[0, :8] = covered[1, :, 90:] = True
    assert torch.equal(masked, plain.masked_fill(covered, 0.0))
    backbone.eval()
    given = {"samples": torch.tensor([RATE, RATE]), "clock": torch.tensor([[0.0, 1.0]] * 2), "waveform": waveform}
    assert not torch.allclose(backbone(**given).pooled, backbone(**given, masks=masks).pooled)


def test_training_with_masks_gives_gradients_everywhere():
    backbone = spectrogram(augment=Augment(time_masks=(2, 0.2), frequency_masks=(2, 0.2), gain=6.0, shift=0.1))
    transform = backbone.transform(True)
    examples = backbone.collate([transform(raw) for raw in noise(1.5, 0.5, 1.0)])
    assert examples["masks"].shape == (3, 4, 3)
    found = backbone(**examples)
    (found.pooled.square().sum() + found.tokens.sum()).backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


@pytest.mark.parametrize("model", [model for model in MODELS if model.startswith("test_")])
def test_layers_partition_all_parameters_in_depth_order(model):
    backbone = spectrogram(model)
    layers = backbone.layers()
    flat = [name for layer in layers for name in layer]
    assert len(flat) == len(set(flat))
    assert set(flat) == {name for name, _ in backbone.named_parameters()}
    assert len(layers) >= 4 and all(layers)
    assert next(iter(dict(backbone.named_parameters()))) in layers[0]


@pytest.mark.parametrize("model", ["test_vit", "test_resnet"])
def test_gradient_checkpointing_changes_no_gradient(model):
    backbone, gradients = spectrogram(model), []
    examples = batch(backbone, noise(1.0, 0.5))
    for _ in range(2):
        backbone.zero_grad()
        backbone(**examples).pooled.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in backbone.parameters()]))
        backbone.gradient_checkpointing()
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["test_vit", "test_resnet"])
def test_the_resolved_options_rebuild_the_same_backbone(model):
    backbone = spectrogram(model, hop=0.02, f_min=50.0, mean=-5.0)
    assert None not in backbone.resolved.values()
    again = builders.spectrogram(**backbone.resolved)
    assert again.resolved == backbone.resolved
    again.load_state_dict(backbone.state_dict())
    assert torch.equal(features(again, noise(0.7)).pooled, features(backbone, noise(0.7)).pooled)
    pickle.dumps(backbone.transform(True))


@pytest.mark.parametrize("options, message", [
    ({"model": "test_resnt"}, "Did you mean 'test_resnet'"),
    ({"model": "resnet18.a1_in1"}, "Did you mean 'resnet18.a1_in1k'"),
    ({"model": "vgg11", "drop_path": 0.1}, "drop_path: vgg11"),
    ({"model": "test_vit", "n_mels": 40}, "n_mels: expected a multiple of 16"),
    ({"n_mels": 2000}, "n_mels: 2000 bands"),
    ({"hop": 0.05}, "hop: expected one sample or more and no more than the window"),
    ({"hop": 0.00001}, "hop: expected one sample"),
    ({"f_max": 5000.0}, "f_max <= 4000 Hz"),
    ({"f_min": 3000.0, "f_max": 300.0}, "found 3000 and 300"),
    ({"model": "densenet121", "n_mels": 16}, "densenet121 makes no features of 16 bands x 100 frames"),
])  # fmt: skip
def test_a_mistake_in_an_option_says_what_to_write(options, message):
    with pytest.raises(RecipeError, match=message):
        spectrogram(**options)


def test_a_model_without_weights_is_refused_before_anything_is_downloaded():
    unpublished = next(name for name in timm.list_models() if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(WeightsError, match="no pretrained weights"):
        spectrogram(unpublished, "pretrained")


def test_without_a_network_the_message_says_what_else_to_write(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    backbone = spectrogram(weights="pretrained")
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(WeightsError, match=r"no route to host.*package:"):
        backbone.load_weights()


def test_drop_path_rises_to_the_rate_asked_for():
    for rate in (0.0, 0.3):
        backbone = spectrogram("test_convnext", drop_path=rate)
        rates = [m.drop_prob for m in backbone.modules() if type(m).__name__ == "DropPath"]
        assert max(rates, default=0) == pytest.approx(rate)
