"""The plugin as the core sees it."""

import inspect

import inarch_text
from inarch_text import builders


def registered():
    found = {}
    inarch_text.register_backbones(lambda name, build, **facts: found.update({name: (build, facts)}))
    return found


def test_one_builder_for_the_library():
    [(name, (build, facts))] = registered().items()
    assert name == "transformers" and build is builders.transformers and facts["domain"] == "text"


def test_every_option_is_annotated_and_explained():
    for name, option in inspect.signature(builders.transformers).parameters.items():
        assert option.kind is option.KEYWORD_ONLY and option.annotation is not option.empty
        assert f"    {name}: " in builders.transformers.__doc__


def test_the_starter_names_options_that_exist_and_no_path_of_this_machine(monkeypatch):
    backbone = builders.starter()["backbone"]
    assert set(backbone) - {"name"} <= set(inspect.signature(builders.transformers).parameters)
    monkeypatch.setattr(builders, "_MINILM", "package:nobody-has-this/model")
    assert builders.starter()["backbone"]["model"] == "sentence-transformers/all-MiniLM-L6-v2"
