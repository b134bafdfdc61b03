"""The backbones that rankings know by name, from their packages."""

import pytest
import torch

import inarch_audio
from inarch import WeightsError


def registered():
    found = {}
    inarch_audio.register_backbones(lambda name, build, **facts: found.update({name: (build, facts)}))
    return found


ROWS = {row.name: (build, row) for build, facts in registered().values() for row in facts.get("candidates", list)()}


def test_the_candidates_are_of_two_networks():
    assert list(ROWS) == [
        "whisper_tiny",
        "whisper_tiny_weighted",
        "whisper_tiny_2",
        "whisper_tiny_1",
        "speech_embedding",
    ]
    assert all(row.sets == ("small",) and row.standing is not None and row.measured for _, row in ROWS.values())


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_candidate_is_built_and_loads_its_package(name):
    build, row = ROWS[name]
    backbone = build(**row.options, duration=1.0).eval()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    try:
        backbone.load_weights()
    except WeightsError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))
    assert any(not torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_what_rankings_take_over_from_a_recipe_are_options_of_every_builder():
    for build, facts in registered().values():
        assert set(facts["keeps"]) <= {*build.__kwdefaults__, "duration"}
        assert "duration" in build.__annotations__
