"""The backbones that rankings know by name, from their package."""

import pytest
import torch

import inarch_text
from inarch import WeightsError, locate
from inarch_text import builders, candidates

ROWS = {row.name: row for row in candidates.candidates()}


def built(name):
    try:
        locate(candidates.MINILM, WeightsError)
    except WeightsError as error:
        pytest.skip(str(error))
    backbone = builders.transformers(**ROWS[name].options).eval()
    backbone.load_weights()
    return backbone


def pooled(backbone, text):
    with torch.no_grad():
        return backbone(**backbone.collate([backbone.transform(False)(text)])).pooled


@pytest.mark.parametrize("name", ["minilm_6", "minilm_6_cls", "minilm_2", "minilm_1"])
def test_candidates_are_built_and_load_their_package(name):
    backbone = built(name)
    assert len(backbone.layers()) == 1 + int(name.split("_")[1])
    assert torch.isfinite(pooled(backbone, "a card that was lost")).all()


def test_the_whole_network_knows_what_is_alike():
    backbone = built("minilm_6")
    lost, gone, rain = (pooled(backbone, text) for text in ("I lost my card", "my card is gone", "it rains in May"))
    assert torch.cosine_similarity(lost, gone) > torch.cosine_similarity(lost, rain) + 0.3


def test_every_candidate_says_where_its_standing_was_measured():
    assert all(row.sets == ("small",) for row in ROWS.values())
    assert all(row.measured for row in ROWS.values() if row.standing is not None)


def test_what_rankings_take_over_from_a_recipe_are_options():
    found = {}
    inarch_text.register_backbones(lambda name, build, **facts: found.update({name: (build, facts["keeps"])}))
    for build, keeps in found.values():
        assert set(keeps) <= set(build.__kwdefaults__)
