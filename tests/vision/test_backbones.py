"""Backbones of both libraries, with random weights and without a network."""

import pickle
from functools import partial

import pytest
import timm as timm_library
import torch
import torchvision as torchvision_library
from PIL import Image

from inarch import Features, RecipeError, WeightsError
from inarch_vision import builders
from inarch_vision.augment import Augment
from inarch_vision.backbones import _last_layer
from inarch_vision.preprocessing import of_torchvision
from inarch_vision.transforms import resized_side

TIMM = {  # name: side of the images, D, tokens
    "resnet18": (64, 512, None),
    "tf_efficientnet_lite0": (64, 1280, None),
    "convnext_atto": (64, 320, None),
    "mobilenetv2_100": (64, 1280, None),
    "mobilenetv3_small_050": (64, 1024, None),
    "mobilenetv4_conv_small": (64, 1280, None),
    "regnetx_002": (64, 368, None),
    "densenet121": (64, 1024, None),
    "poolformer_s12": (64, 512, None),
    "vit_tiny_patch16_224": (64, 192, 17),
    "deit_tiny_distilled_patch16_224": (64, 192, 18),
    "swin_tiny_patch4_window7_224": (64, 768, None),
    "mixer_s32_224": (224, 512, 49),
    "eva02_tiny_patch14_224": (56, 192, 17),
}
TORCHVISION = {
    "resnet18": 512,
    "vit_b_32": 768,
    "densenet121": 1024,
    "efficientnet_b0": 1280,
    "mobilenet_v3_small": 1024,
    "shufflenet_v2_x0_5": 1024,
    "squeezenet1_1": 512,
    "convnext_tiny": 768,
    "swin_t": 768,
    "regnet_y_400mf": 440,
    "mnasnet0_5": 1280,
}


def timm(model="resnet18", weights="none", image_size=64, **options):
    return builders.timm(model=model, weights=weights, image_size=image_size, **options)


def torchvision(model="resnet18", weights="none", image_size=64, **options):
    # torchvision's ViT exists at 224 pixels only
    return builders.torchvision(
        model=model, weights=weights, image_size=224 if "vit" in model else image_size, **options
    )


def images(backbone, count=2):
    size = backbone.resolved["image_size"]
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


BACKBONES = [
    *(pytest.param(partial(timm, model, image_size=size), id=f"timm-{model}") for model, (size, _, _) in TIMM.items()),
    *(pytest.param(partial(torchvision, model), id=f"torchvision-{model}") for model in TORCHVISION),
]


@pytest.mark.parametrize("build", BACKBONES)
def test_layers_partition_all_parameters_in_depth_order(build):
    backbone = build()
    layers = backbone.layers()
    flat = [name for layer in layers for name in layer]
    assert len(flat) == len(set(flat))
    assert set(flat) == {name for name, _ in backbone.named_parameters()}
    assert len(layers) >= 4 and all(layers)
    assert next(iter(dict(backbone.named_parameters()))) in layers[0]


@pytest.mark.parametrize("build", BACKBONES)
def test_features_have_the_promised_shapes(build):
    backbone = build()
    assert backbone.training
    backbone.eval()
    with torch.no_grad():
        features = backbone(image=images(backbone))
    filled = {name for name in Features._fields if getattr(features, name) is not None} - {"mask"}
    assert filled == backbone.provides
    assert features.pooled.shape == (2, backbone.num_features)


@pytest.mark.parametrize("model, expected", TIMM.items())
def test_pooled_features_are_timms_own(model, expected):
    size, width, tokens = expected
    backbone = timm(model, image_size=size).eval()
    with torch.no_grad():
        features = backbone(image=images(backbone))
        reference = backbone.model(backbone._pixels(images(backbone)))
    assert backbone.num_features == width
    assert torch.equal(features.pooled, reference)
    if tokens is None:
        assert features.tokens is None
    else:
        assert features.tokens.shape == (2, tokens, width)
        assert features.mask.shape == (2, tokens) and features.mask.all()


@pytest.mark.parametrize("model, width", TORCHVISION.items())
def test_num_features_of_torchvision(model, width):
    assert torchvision(model).num_features == width


def test_the_first_and_last_layers_are_those_of_the_network():
    layers = torchvision("resnet18").layers()
    assert len(layers) == 5
    assert layers[0] == ["model.conv1.weight", "model.bn1.weight", "model.bn1.bias"]
    assert layers[4][0].startswith("model.layer4.")
    assert timm("resnet18").layers()[0][0] == "model.conv1.weight"
    assert len(timm("vit_tiny_patch16_224").layers()) == 13


@pytest.mark.parametrize("model", ["resnet18", "convnext_atto", "vit_tiny_patch16_224"])
def test_maps_come_on_request_and_change_nothing_else(model):
    backbone = timm(model, maps=True).eval()
    assert "maps" in backbone.provides and "maps" not in timm(model).provides
    with torch.no_grad():
        features = backbone(image=images(backbone))
        reference = backbone.model(backbone._pixels(images(backbone)))
    sides = [one.shape[2] for one in features.maps]
    assert len(sides) == 4 and sides == sorted(sides, reverse=True)
    assert torch.allclose(features.pooled, reference, atol=1e-5)


@pytest.mark.parametrize("build", [timm, torchvision])
def test_the_resolved_options_rebuild_the_same_pipeline(build):
    backbone = build(augment=Augment(flip="none"))
    options = backbone.resolved
    assert None not in options.values()
    again = getattr(builders, build.__name__)(**options)
    assert again.resolved == options
    again.load_state_dict(backbone.state_dict())
    photo = Image.effect_noise((90, 70), 80)
    batch = again.collate([pickle.loads(pickle.dumps(again.transform(False)))(photo)])
    assert torch.equal(backbone.eval()(**batch).pooled, again.eval()(**batch).pooled)


def test_pixels_are_normalised_on_the_device_and_channels_last():
    backbone = timm("tf_efficientnet_lite0")
    assert backbone.resolved["mean"] == backbone.resolved["std"] == (0.5, 0.5, 0.5)
    assert backbone.resolved["interpolation"] == "bicubic"
    pixels = backbone._pixels(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4))
    assert pixels[0].unique().tolist() == [-1] and pixels[1].unique().tolist() == [1]
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_building_takes_neither_network_nor_files(monkeypatch):
    asked = []

    def refuse(_, address):
        asked.append(address)
        raise OSError("no route to host")

    monkeypatch.setattr("socket.socket.connect", refuse)
    addresses = ["pretrained", "/nowhere/weights.safetensors"]
    built = [build(weights=address) for build in (timm, torchvision) for address in addresses]
    assert [backbone.resolved["weights"] for backbone in built] == addresses * 2
    assert asked == []


def test_gradient_checkpointing_changes_no_gradient():
    backbone = timm("vit_tiny_patch16_224")
    gradients = []
    for _ in range(2):
        backbone.zero_grad()
        backbone(image=images(backbone)).pooled.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in backbone.parameters()]))
        backbone.gradient_checkpointing()
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("build, model", [(timm, "swin_tiny_patch4_window7_224"), (torchvision, "swin_t")])
def test_drop_path_rises_to_the_rate_asked_for_and_0_is_none(build, model, rate):
    """Both libraries drop paths of swin by default."""
    branches = [
        m for m in build(model, drop_path=rate).modules() if type(m).__name__ in ("DropPath", "StochasticDepth")
    ]
    rates = [vars(branch).get("drop_prob", vars(branch).get("p")) for branch in branches]
    assert max(rates, default=0) == pytest.approx(rate)


@pytest.mark.parametrize("build, options, message", [
    (timm, {"model": "resnt18"}, "Did you mean 'resnet18'"),
    (timm, {"model": "resnet18.a1_in1"}, "Did you mean 'resnet18.a1_in1k'"),
    (torchvision, {"model": "resnet19"}, "Did you mean 'resnet1"),
    (torchvision, {"model": "inception_v3"}, "unknown model of torchvision"),
    (timm, {"model": "vgg11", "drop_path": 0.1}, "drop_path: vgg11"),
    (torchvision, {"drop_path": 0.1}, "drop_path: resnet18"),
    (timm, {"crop_fraction": 0.0}, "crop_fraction:"),
    (timm, {"image_size": -1}, "image_size:"),
    (torchvision, {"model": "alexnet", "image_size": 8}, "alexnet makes no features of 8 x 8 pixels"),
])  # fmt: skip
def test_a_mistake_in_an_option_says_what_to_write(build, options, message):
    with pytest.raises(RecipeError, match=message):
        build(**options)


def test_a_model_without_weights_is_refused_before_anything_is_downloaded():
    names = timm_library.list_models()
    unpublished = next(name for name in names if not timm_library.get_pretrained_cfg(name).has_weights)
    with pytest.raises(WeightsError, match="no pretrained weights"):
        timm(unpublished, "pretrained", image_size=None)


def test_without_a_network_the_message_says_what_else_to_write(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    backbones = [timm(weights="pretrained"), torchvision(weights="pretrained")]
    monkeypatch.setattr(timm_library, "create_model", offline)
    monkeypatch.setattr(torchvision_library.models._api, "load_state_dict_from_url", offline)
    for backbone in backbones:
        with pytest.raises(WeightsError, match=r"no route to host.*package:"):
            backbone.load_weights()


@pytest.mark.parametrize(
    "model", ["alexnet", "densenet121", "efficientnet_v2_s", "maxvit_t", "swin_v2_t", "vgg11", "vit_h_14"]
)
def test_the_layer_left_out_of_a_torchvision_model_is_its_classifier(model):
    with torch.device("meta"):
        network = torchvision_library.models.get_model(model)
    assert network.get_submodule(_last_layer(network)).out_features == 1000


def test_the_crop_of_every_torchvision_model_is_what_its_weights_expect():
    names = torchvision_library.models.list_models(module=torchvision_library.models)
    assert len(names) > 70
    for name in names:
        weights = torchvision_library.models.get_model_weights(name).DEFAULT
        preset, found = weights.transforms(), of_torchvision(weights, {})
        assert resized_side(found) == preset.resize_size[0] and found.image_size == preset.crop_size[0]


@pytest.mark.parametrize("build", [partial(timm, "tf_efficientnet_lite0"), partial(torchvision, "resnet18")])
def test_synchronised_batch_norms_keep_their_activations_and_their_names(build):
    backbone, pixels = build(), torch.rand(2, 3, 64, 64)
    names = list(backbone.state_dict())
    expected = backbone.eval()(image=pixels).pooled
    backbone.synchronise_norms()
    norms = [part for part in backbone.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms and all(isinstance(part, torch.nn.SyncBatchNorm) for part in norms)
    assert list(backbone.state_dict()) == names
    torch.testing.assert_close(backbone.eval()(image=pixels).pooled, expected)
