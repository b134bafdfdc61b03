"""Where audio models of transformers come from, and what is wrong with their files."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_audio import folders, noise, opened, save, stir

from inarch import RecipeError, WeightsError
from inarch_audio import builders, pretrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return folders(tmp_path_factory)


@pytest.fixture
def build(folder):
    def built(name, **options):
        path = folder(name) if isinstance(name, str) else name
        return opened(path, **options)

    return built


@pytest.mark.parametrize("name, kind", [
    ("wav2vec2", "ForCTC"),
    ("wav2vec2-large", "ForPreTraining"),
    ("hubert", "ForSequenceClassification"),
    ("wavlm", "ForXVector"),
    ("ast", "ForAudioClassification"),
])  # fmt: skip
def test_heads_in_the_file_are_left_out(build, tmp_path, name, kind):
    network = save(name, tmp_path, kind).base_model.state_dict()
    own = build(tmp_path, duration=1.0).model.state_dict()
    assert set(network) - set(own) <= {"masked_spec_embed"} and set(own) <= set(network)
    assert all(torch.equal(tensor, network[name]) for name, tensor in own.items())


def test_old_names_of_normalised_weights_are_known(build, folder, tmp_path):
    save("wav2vec2", tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        state = {name.replace(new, old): tensor for name, tensor in state.items()}
    assert "encoder.pos_conv_embed.conv.weight_g" in state
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with torch.no_grad():
        assert torch.equal(build(tmp_path)(**noise()).pooled, build("wav2vec2")(**noise()).pooled)


def test_weights_are_loaded_strictly(build, tmp_path):
    save("hubert", tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state["encoder.surplus"] = state.pop("encoder.layers.0.attention.k_proj.bias")
    state["encoder.layers.1.attention.k_proj.bias"] = torch.zeros(3)
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    told = r"1 missing: encoder\.layers\.0\.attention\.k_proj\.bias; 1 unexpected: encoder\.surplus; 1 of another shape"
    with pytest.raises(WeightsError, match=told):
        build(tmp_path)


@pytest.mark.parametrize("name", ["wavlm-large", "ast"])
def test_a_bundle_opens_without_the_model_that_it_came_from(build, tmp_path, name):
    save(name, tmp_path / "there")
    (tmp_path / "there" / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    backbone = stir(build(tmp_path / "there", layers="weighted", duration=1.0))
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for file, content in backbone.files().items():
        (bundle / file).write_bytes(content)
    again = builders.transformers_audio(**backbone.resolved, files=str(bundle)).eval()
    again.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        assert torch.equal(again(**noise()).pooled, backbone(**noise()).pooled)


def test_random_weights_need_no_file_of_weights(folder, build, tmp_path):
    (tmp_path / "config.json").write_bytes((folder("hubert") / "config.json").read_bytes())
    assert build(tmp_path, weights="none").num_features == 16
    with pytest.raises(WeightsError, match=r"has no model\.safetensors, nothing to load in .* Or write weights: none"):
        build(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"only pytorch_model\.bin; no pickle is ever opened"):
        build(tmp_path)


def test_weights_that_are_no_safetensors_are_an_error(folder, tmp_path):
    backbone = builders.transformers_audio(model=str(folder("hubert")), duration=None, weights="weights.pt")
    with pytest.raises(WeightsError, match=r"expected a safetensors file, found weights\.pt"):
        backbone.load_weights()


def test_a_model_that_hears_nothing_is_an_error(tmp_path):
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match=r"unknown type of audio model 'bert'\. .*Allowed: audio-spectrogram-trans"):
        builders.transformers_audio(model=str(tmp_path), duration=1.0)


@pytest.mark.parametrize("content, told", [("{", "cannot be opened"), ('{"model_type": "whispr"}', "whispr")])
def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path, content, told):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RecipeError, match=told):
        builders.transformers_audio(model=str(tmp_path), duration=1.0)


def test_a_folder_that_is_no_model_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match=r"expected a folder with a config\.json"):
        builders.transformers_audio(model=str(tmp_path), duration=1.0)


def test_a_model_of_the_hub_without_a_network_says_what_to_do():
    with pytest.raises(WeightsError, match="openai/no-such-whisper is no folder here, and could not be fetched"):
        builders.transformers_audio(model="openai/no-such-whisper", duration=1.0)


def test_a_relative_path_is_remembered_as_absolute(folder, monkeypatch):
    monkeypatch.chdir(folder("hubert").parent)
    backbone = builders.transformers_audio(model=folder("hubert").name, duration=None, weights="none")
    assert backbone.resolved["model"] == str(folder("hubert"))
    assert pretrained.absolute("none") == "none"
