"""The plugin as the core sees it."""

import inspect

import inarch_vision
from inarch_vision import builders


def registered():
    found = {}
    inarch_vision.register_backbones(lambda name, build, **facts: found.update({name: (build, facts)}))
    return found


def test_one_builder_a_library():
    assert set(registered()) == {"timm", "torchvision"}
    assert all(facts["domain"] == "image" and facts["verify"] for _, facts in registered().values())


def test_every_option_is_annotated_and_explained():
    for build, _ in registered().values():
        for name, option in inspect.signature(build).parameters.items():
            assert option.kind is option.KEYWORD_ONLY and option.annotation is not option.empty
            assert f"    {name}: " in build.__doc__


def test_the_starter_names_options_that_exist():
    backbone = builders.starter()["backbone"]
    options = inspect.signature(registered()[backbone.pop("name")][0]).parameters
    assert set(backbone) <= set(options)
