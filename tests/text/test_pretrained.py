"""Where models come from, and what is wrong with their files."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from inarch import RecipeError, WeightsError, quiet
from inarch_text import builders


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy of the tiny BERT, to be spoilt."""
    return shutil.copytree(tiny("bert"), tmp_path / "model")


def change(folder, alter):
    state = load_file(folder / "model.safetensors")
    alter(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def load(folder, **options):
    backbone = builders.transformers(model=str(folder), **options)
    backbone.load_weights()
    return backbone


def test_the_weights_are_those_of_the_file(folder):
    state, backbone = load_file(folder / "model.safetensors"), load(folder)
    own = backbone.model.state_dict()
    assert own.keys() == {name for name in state if not name.startswith("pooler.")}
    assert all(torch.equal(tensor, state[name]) for name, tensor in own.items())


@pytest.mark.parametrize("family, kind", [
    ("bert", AutoModelForMaskedLM),
    ("bert", AutoModelForSequenceClassification),
    ("roberta", AutoModelForMaskedLM),
    ("deberta-v2", AutoModelForMaskedLM),
    ("distilbert", AutoModelForMaskedLM),
    ("modernbert", AutoModelForMaskedLM),
    ("albert", AutoModelForMaskedLM),
    ("gpt2", AutoModelForCausalLM),
    ("gpt2", AutoModelForSequenceClassification),
    ("llama", AutoModelForCausalLM),
    ("llama", AutoModelForSequenceClassification),
    ("bart", AutoModelForSequenceClassification),
])  # fmt: skip
def test_heads_in_the_file_are_left_out(tiny, tmp_path, family, kind):
    folder = shutil.copytree(tiny(family), tmp_path / "model")
    network = kind.from_config(AutoConfig.from_pretrained(folder))
    with quiet():
        network.save_pretrained(folder)
    backbone = load(folder)
    saved = {key: value for key, value in load_file(folder / "model.safetensors").items() if "decoder" not in key}
    own = dict(backbone.model.named_parameters())
    found = {name: next(value for key, value in saved.items() if key.endswith(name)) for name in own if ".0." in name}
    assert len(found) > 4 and all(torch.equal(own[name], value) for name, value in found.items())


def test_of_an_encoder_decoder_the_encoder_is_loaded(tiny):
    state, own = load_file(tiny("t5") / "model.safetensors"), load(tiny("t5")).model.state_dict()
    assert torch.equal(own["embed_tokens.weight"], state["shared.weight"])
    assert all(torch.equal(value, state[f"encoder.{name}"]) for name, value in own.items() if "embed" not in name)
    assert not [name for name in own if "decoder" in name]


def test_files_may_be_cut_to_shards(folder):
    whole = load(folder).state_dict()
    with quiet():
        network = AutoModel.from_pretrained(folder)
        (folder / "model.safetensors").unlink()
        network.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    shards = load(folder).state_dict()
    assert all(torch.equal(shards[name], whole[name]) for name in whole)


def test_a_file_elsewhere_gives_the_weights(folder, tmp_path, monkeypatch):
    expected = load(folder).state_dict()
    (folder / "model.safetensors").rename(tmp_path / "other.safetensors")
    found = load(folder, weights=str(tmp_path / "other.safetensors"))
    assert all(torch.equal(value, expected[name]) for name, value in found.state_dict().items())
    monkeypatch.chdir(tmp_path)
    relative = builders.transformers(model=str(folder), weights="other.safetensors")
    assert relative.resolved["weights"] == str(tmp_path / "other.safetensors")


def test_weights_in_half_precision_are_trained_in_full(folder):
    change(folder, lambda state: state.update({name: value.half() for name, value in state.items()}))
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**settings, "dtype": "float16"}), encoding="utf-8")
    assert {parameter.dtype for parameter in load(folder).parameters()} == {torch.float32}


@pytest.mark.parametrize("alter, message", [
    (lambda state: state.pop("encoder.layer.0.output.dense.bias"), "1 missing: encoder.layer.0.output.dense.bias"),
    (lambda state: state.update({"encoder.layer.2.bias": torch.zeros(2)}), "1 unexpected: encoder.layer.2.bias"),
    (lambda state: state.update({"embeddings.LayerNorm.bias": torch.zeros(2)}),
     "1 of another shape: embeddings.LayerNorm.bias"),
])  # fmt: skip
def test_what_does_not_fit_is_listed(folder, alter, message):
    change(folder, alter)
    with pytest.raises(WeightsError, match=rf"{folder}: the weights do not fit the model; {message}"):
        load(folder)


def test_parts_that_do_not_fit_are_found_beside_a_head_too(folder):
    network = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(folder))
    network.save_pretrained(folder)
    change(folder, lambda state: state.update({"bert.encoder.layer.2.bias": torch.zeros(2)}))
    with pytest.raises(WeightsError, match=r"1 unexpected: bert\.encoder\.layer\.2\.bias$"):
        load(folder)


def test_a_pooler_and_counted_positions_may_be_there_or_not(folder):
    whole = load(folder).model.state_dict()
    change(folder, lambda state: [state.pop(name) for name in list(state) if name.startswith("pooler")])
    without = load(folder).model.state_dict()
    change(folder, lambda state: state.update({"embeddings.position_ids": torch.arange(64)[None]}))
    counted = load(folder).model.state_dict()
    for name, tensor in whole.items():
        assert torch.equal(tensor, without[name]) and torch.equal(tensor, counted[name]), name


def test_pickles_are_refused_with_the_way_to_convert_them(folder):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"no model\.safetensors, only pytorch_model\.bin.*save_pretrained"):
        load(folder)
    with pytest.raises(WeightsError, match=r"expected a safetensors file, found .*pytorch_model\.bin.*save_pretrained"):
        load(folder, weights=str(folder / "pytorch_model.bin"))


def test_a_folder_without_weights_says_so(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"there is no model\.safetensors in .*weights: none"):
        load(folder)


@pytest.mark.parametrize("model, message", [
    ("somebody/some-model", r"no folder here.*could not be fetched.*Without a network.*package:DISTRIBUTION/FOLDER"),
    ("./nowhere", r"\./nowhere: there is no such file or folder"),
    ("nowhere", r"nowhere: there is no such file or folder"),
    ("package:nobody-has-this/model", r"the package 'nobody-has-this' is not installed"),
    ("", r"an empty path"),
])  # fmt: skip
def test_a_model_that_is_nowhere_says_where_it_may_be(model, message):
    with pytest.raises(WeightsError, match=message):
        builders.transformers(model=model)


def test_a_folder_of_something_else_is_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"expected a folder with a config\.json"):
        builders.transformers(model=str(tmp_path / "empty"))
    (folder / "config.json").write_text('{"model_type": "nonesuch"}', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"cannot be opened by transformers: .*nonesuch"):
        builders.transformers(model=str(folder))
    (folder / "config.json").write_text('{"model_type": "vit", "hidden_size": 16}', encoding="utf-8")
    with pytest.raises(RecipeError, match="type vit, which reads no text"):
        builders.transformers(model=str(folder))


def test_a_slow_tokenizer_is_refused(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "canine", "hidden_size": 16}), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"CanineTokenizer is a slow tokenizer.*tokenizer\.json"):
        builders.transformers(model=str(folder))


def test_a_model_of_the_hub_comes_from_the_cache_with_its_commit(tiny, tmp_path, monkeypatch):
    """What the hub's client leaves on the disk, and no network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    copy = tmp_path / "models--somebody--tiny"
    shutil.copytree(tiny("bert"), copy / "snapshots" / commit)
    (copy / "refs").mkdir()
    (copy / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    backbone = load("somebody/tiny")
    assert backbone.facts["revision"] == backbone.resolved["revision"] == commit
    assert backbone.resolved["model"] == "somebody/tiny"
    assert all(
        torch.equal(value, load(tiny("bert")).state_dict()[name]) for name, value in backbone.state_dict().items()
    )


CODE = """
from transformers import BertConfig, BertModel

class OwnConfig(BertConfig):
    model_type = "own-{name}"

class OwnModel(BertModel):
    config_class = OwnConfig
"""


def test_code_of_a_model_runs_only_where_the_recipe_allows_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    own = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    changed = {**settings, "model_type": "own-model", "auto_map": own}
    (folder / "config.json").write_text(json.dumps(changed), encoding="utf-8")
    (folder / "own.py").write_text(CODE.format(name="model"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"brings code of its own.*remote_code: allow"):
        builders.transformers(model=str(folder))
    assert not (tmp_path / "modules").exists()
    backbone = load(folder, remote_code="allow")
    assert type(backbone.model).__name__ == "OwnModel" and backbone.facts["remote_code"] == "allow"
    (tmp_path / "kept").mkdir()
    for name, content in backbone.files().items():
        (tmp_path / "kept" / name).write_bytes(content)
    shutil.rmtree(folder)
    again = builders.transformers(**backbone.resolved, files=str(tmp_path / "kept"))
    again.load_state_dict(backbone.state_dict())
