"""AST as a backbone."""

import pytest
import torch
from tiny_audio import folders, noise, opened
from transformers import ASTFeatureExtractor, AutoModel

from inarch import RecipeError, WeightsError
from inarch_audio import builders
from inarch_audio.spectrogram_transformer import fit_positions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return folders(tmp_path_factory)


@pytest.fixture
def build(folder):
    def built(name, **options):
        return opened(folder(name), **{"duration": 1.0, **options})

    return built


def test_ast_sees_what_the_feature_extractor_of_transformers_makes(folder, build):
    backbone, waveform = build("ast"), noise()["waveform"]
    extract = ASTFeatureExtractor(max_length=98)
    values = extract([wave.numpy() for wave in waveform], 16000, return_tensors="pt")["input_values"]
    assert torch.allclose(backbone.filter_bank(waveform).mT, values, atol=1e-4)
    network = AutoModel.from_pretrained(folder("ast")).eval()
    with torch.no_grad():
        features, expected = backbone(**noise()), network(values)
    assert torch.allclose(features.pooled, expected.pooler_output, atol=1e-4)
    columns = expected.last_hidden_state[:, 2:].unflatten(1, (12, 9)).mean(1)
    assert torch.allclose(features.tokens, columns, atol=1e-4)
    assert features.mask.sum(1).tolist() == [9, 1, 5, 8, 5]
    assert features.places[0, 1].tolist() == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("duration", [0.5, 2.0])
def test_positions_of_ast_are_cut_or_interpolated_to_the_duration(build, duration):
    backbone = build("ast", duration=duration)
    batch = noise([round(16000 * duration)] * 2)
    count = backbone(**batch).mask.sum(1)
    assert count.tolist() == [{0.5: 4, 2.0: 19}[duration]] * 2


def test_positions_are_cut_around_the_middle_and_interpolated_between():
    grid = torch.arange(5.0).expand(2, 5).reshape(1, 10, 1)  # two rows of 0 1 2 3 4
    positions = torch.cat([torch.full((1, 2, 1), 9.0), grid], 1)
    assert fit_positions(positions, 2, 3, "x").flatten().tolist() == [9, 9, 1, 2, 3, 1, 2, 3]
    longer = fit_positions(positions, 2, 10, "x").flatten().tolist()
    assert longer[:7] == pytest.approx([9, 9, 0, 0.25, 0.75, 1.25, 1.75])
    with pytest.raises(WeightsError, match="10 positions are no multiple of 3 rows"):
        fit_positions(positions, 3, 3, "x")


def test_masks_of_ast_blank_with_the_mean_of_its_training_data(build, monkeypatch):
    backbone, seen = build("ast"), []
    states = backbone.states
    monkeypatch.setattr(backbone, "states", lambda values: seen.append(values) or states(values))
    masks = torch.tensor([[0, 0.5, 1.0]]).repeat(5, 1, 1)
    backbone(**noise(), masks=masks)
    assert (seen[0][:, 49:] == 0).all() and (seen[0][0, :49] != 0).all()


def test_ast_without_a_duration_is_an_error(folder):
    with pytest.raises(RecipeError, match=r"spectrograms of one length, expected at least 0\.175 seconds, found none"):
        builders.transformers_audio(model=str(folder("ast")), duration=None)
