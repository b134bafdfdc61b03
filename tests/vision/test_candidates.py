"""The backbones that rankings know by name, from their packages; and the classes that their weights were trained on."""

import pytest
import torch
from safetensors.torch import save_file

import inarch_vision
from inarch import WeightsError, locate, read_state
from inarch_vision import builders, candidates
from inarch_vision.weights import to_timm

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenetv2")


def installed(options):
    try:
        locate(options["weights"], WeightsError)
    except WeightsError as error:
        pytest.skip(str(error))
    return options


def test_every_candidate_is_named_once_with_where_its_standing_was_measured():
    rows = candidates.candidates()
    assert tuple(row.name for row in rows) == NAMES
    assert all(row.sets == ("small",) and row.standing is not None and row.measured for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_every_candidate_is_built_and_loads_its_package(name):
    [row] = [row for row in candidates.candidates() if row.name == name]
    backbone = builders.timm(**installed(row.options), image_size=64).eval()
    before = backbone.state_dict()["model.conv_stem.weight"].clone()
    backbone.load_weights()
    assert not torch.equal(backbone.state_dict()["model.conv_stem.weight"], before)
    with torch.no_grad():
        assert backbone(image=torch.randint(0, 256, (1, 3, 64, 64))).pooled.isfinite().all()


def test_what_rankings_take_over_from_a_recipe_are_options_of_both_builders():
    found = {}
    inarch_vision.register_backbones(lambda name, build, **facts: found.update({name: (build, facts["keeps"])}))
    for build, keeps in found.values():
        assert set(keeps) - {"maps"} <= set(build.__kwdefaults__ or {})


def test_the_classes_of_pretraining_are_what_the_whole_network_says():
    [row] = [row for row in candidates.candidates() if row.name == "efficientnet_lite0"]
    backbone = builders.timm(**installed(row.options), image_size=64).eval()
    backbone.load_weights()
    weight, bias = backbone.source_classifier()
    whole = builders.timm(model="tf_efficientnet_lite0", weights="none", image_size=64).model
    whole.reset_classifier(1000)
    whole.load_state_dict(
        to_timm(read_state(row.options["weights"]), "tf_efficientnet_lite0", list(whole.state_dict()))
    )
    image = torch.randint(0, 256, (2, 3, 64, 64))
    with torch.no_grad():
        said = backbone(image=image).pooled @ weight.T + bias
        assert torch.allclose(said, whole.eval()(image.float() / 127.5 - 1), atol=1e-3)


def test_weights_without_a_classifier_have_no_classes_of_pretraining(tmp_path):
    backbone = builders.timm(model="resnet18", weights="none", image_size=32)
    assert backbone.source_classifier() is None
    save_file(backbone.model.state_dict(), tmp_path / "body.safetensors")
    body = builders.timm(model="resnet18", weights=str(tmp_path / "body.safetensors"), image_size=32)
    body.load_weights()
    assert body.source_classifier() is None


def test_the_classifier_of_torchvision_is_the_source_too(tmp_path):
    import torchvision

    whole = torchvision.models.resnet18(weights=None)
    save_file(whole.state_dict(), tmp_path / "whole.safetensors")
    backbone = builders.torchvision(model="resnet18", weights=str(tmp_path / "whole.safetensors"), image_size=32)
    weight, bias = backbone.source_classifier()
    assert torch.equal(weight, whole.fc.weight) and torch.equal(bias, whole.fc.bias)
