"""Backbones of every family, tiny and random, and without a network."""

import json
import pickle
import shutil
from pathlib import Path

import peft
import pytest
import torch

import inarch
from inarch import RecipeError
from inarch_text import builders

# What comes first, in the blocks and last, by the beginnings of names; None: nothing follows the blocks.
LAYERS = {
    "bert": ("model.embeddings.", "model.encoder.layer.{}.", None),
    "roberta": ("model.embeddings.", "model.encoder.layer.{}.", None),
    "deberta-v2": ("model.embeddings.|model.encoder.rel_emb|model.encoder.LayerN|model.encoder.conv",
                   "model.encoder.layer.{}.", None),
    "distilbert": ("model.embeddings.", "model.transformer.layer.{}.", None),
    "modernbert": ("model.embeddings.", "model.layers.{}.", "model.final_norm."),
    "gpt2": ("model.wte|model.wpe", "model.h.{}.", "model.ln_f."),
    "llama": ("model.embed_tokens", "model.layers.{}.", "model.norm."),
    "t5": ("model.embed_tokens", "model.block.{}.", "model.final_layer_norm."),
    "bart": ("model.embed_|model.layernorm_embedding", "model.layers.{}.", None),
}  # fmt: skip
FAMILIES = [*LAYERS, "albert"]
TEXTS = ["good", "The quick brown fox, said Anna.", "It was a very bad film! " * 3]


def features(backbone, raws):
    with torch.no_grad():
        return backbone(**backbone.collate([backbone.transform(False)(raw) for raw in raws]))


def names(backbone):
    return sorted(name for name, _ in backbone.named_parameters())


@pytest.mark.parametrize("family", LAYERS)
def test_layers_go_from_embeddings_through_the_blocks_to_what_follows(build, family):
    first, block, last = LAYERS[family]
    layers = build(family).layers()
    assert sorted(name for layer in layers for name in layer) == names(build(family))
    expected = [first, block.format(0), block.format(1), *([last] if last else [])]
    assert len(layers) == len(expected)
    for layer, begins in zip(layers, expected, strict=True):
        assert layer and all(name.startswith(tuple(begins.split("|"))) for name in layer)
        assert all(any(name.startswith(begin) for name in layer) for begin in begins.split("|"))


def test_blocks_that_share_their_parameters_are_one_layer(build):
    layers = build("albert", pooling="attention").layers()
    assert "model.embeddings.word_embeddings.weight" in layers[0]
    assert "model.encoder.embedding_hidden_mapping_in.weight" in layers[0]
    assert layers[2] == ["pooling.query"] and len(layers) == 3


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_parameters_that_adapters_add_belong_to_their_block(build, family):
    backbone = build(family, pooling="attention")
    target = {"bert": "query", "llama": "q_proj", "gpt2": "c_attn"}[family]
    peft.inject_adapter_in_model(
        peft.LoraConfig(r=2, target_modules=[target], fan_in_fan_out=family == "gpt2"), backbone.model
    )
    layers = backbone.layers()
    assert sorted(name for layer in layers for name in layer) == names(backbone)
    assert [any("lora_" in name for name in layer) for layer in layers] == [False, True, True, False]
    assert layers[-1][-1] == "pooling.query"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "max", "last", "attention"])
def test_padding_changes_no_feature(build, family, pooling):
    backbone = build(family, pooling=pooling)
    if pooling == "attention":
        torch.nn.init.normal_(backbone.pooling.query)
    together = features(backbone, TEXTS)
    assert together.pooled.shape == (3, backbone.num_features) == (3, 16)
    for index, text in enumerate(TEXTS):
        alone = features(backbone, [text])
        length, units = alone.tokens.shape[1], alone.units.shape[1]
        assert torch.allclose(together.pooled[index], alone.pooled[0], atol=1e-5)
        assert torch.allclose(together.tokens[index, :length], alone.tokens[0], atol=1e-5)
        assert together.mask[index].sum() == length and not together.mask[index, length:].any()
        assert (
            torch.equal(together.units[index, :units], alone.units[0]) and (together.units[index, units:] == -1).all()
        )
        assert not together.places[index, units:].any() and together.places.dtype == torch.float32
    assert (together.pooled[0] - together.pooled[1]).abs().max() > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_trained(build, family):
    """A parameter without a gradient, such as a pooler's, would stop training in several processes."""
    backbone = build(family, pooling="attention")
    output = backbone(**backbone.collate([backbone.transform(True)(text) for text in TEXTS]))
    output.pooled.square().sum().backward()
    assert not [name for name, parameter in backbone.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_gives_nearly_the_same_features(build, family):
    backbone = build(family)
    exact = features(backbone, TEXTS).pooled
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = features(backbone, TEXTS).pooled
    assert torch.nn.functional.cosine_similarity(exact, half.float()).min() > 0.99


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_bundle_keeps_rebuilds_the_model_without_its_folder(tiny, tmp_path, family):
    folder = shutil.copytree(tiny(family), tmp_path / "model")
    backbone = builders.transformers(model=str(folder), dropout=0.25)
    backbone.load_weights()
    prepared = backbone.eval().prepare(TEXTS)
    (tmp_path / "kept").mkdir()
    for name, content in backbone.files().items():
        (tmp_path / "kept" / name).write_bytes(content)
    shutil.rmtree(folder)
    again = builders.transformers(**backbone.resolved, files=str(tmp_path / "kept")).eval()
    again.load_state_dict(backbone.state_dict())
    assert again.resolved == backbone.resolved and "files" not in again.resolved
    assert again.files() == backbone.files()
    assert isinstance(again.resolved["max_tokens"], int) and again.resolved["pair"] is False
    with torch.no_grad():
        expected = backbone(**backbone.collate(list(prepared))).pooled
    assert torch.equal(features(again, TEXTS).pooled, expected)


def test_weights_come_when_they_are_asked_for(tiny):
    backbone = builders.transformers(model=str(tiny("bert"))).eval()
    before = features(backbone, TEXTS).pooled
    backbone.load_weights()
    after = features(backbone, TEXTS).pooled
    assert not torch.allclose(before, after)
    none = builders.transformers(model=str(tiny("bert")), weights="none").eval()
    state = {name: tensor.clone() for name, tensor in none.state_dict().items()}
    none.load_weights()
    assert all(torch.equal(tensor, state[name]) for name, tensor in none.state_dict().items())


@pytest.mark.parametrize("family, pooling", [("bert", "mean"), ("t5", "mean"), ("gpt2", "last"), ("llama", "last")])
def test_encoders_take_the_mean_and_decoders_the_last_token(build, family, pooling):
    assert build(family).resolved["pooling"] == pooling


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_first_token_of_a_decoder_is_refused(build, family):
    with pytest.raises(RecipeError, match=r"backbone\.pooling: .* sees no other; take last"):
        build(family, pooling="cls")


@pytest.mark.parametrize(
    "family, positions", [("bert", 64), ("roberta", 64), ("bart", 64), ("gpt2", 64), ("llama", 64)]
)
def test_more_tokens_than_positions_are_refused_and_as_many_work(build, family, positions):
    with pytest.raises(RecipeError, match=r"backbone\.max_tokens: the model has 64 positions, 65 are too many"):
        build(family, max_tokens=positions + 1)
    backbone = build(family, max_tokens=positions)
    found = features(backbone, ["good " * 200])
    assert found.tokens.shape[1] == positions and found.tokens.isfinite().all()


@pytest.mark.parametrize("family", ["deberta-v2", "t5"])
def test_relative_positions_have_no_end(build, family):
    assert features(build(family, max_tokens=300), ["good " * 500]).tokens.shape[1] == 300


def test_token_types_tell_the_texts_of_a_pair_apart(build):
    backbone = build("bert")
    batch = backbone.collate([backbone.transform(False)({"a": "good film", "b": "bad"})])
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]
    assert backbone.collate([backbone.transform(False)("good")])["token_type_ids"].tolist() == [[0, 0, 0]]
    for family in ("roberta", "distilbert"):
        other = build(family)
        assert "token_type_ids" not in other.collate([other.transform(False)({"a": "good film", "b": "bad"})])


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_replaces_the_models_own_everywhere_and_in_training_alone(build, family):
    none, half = build(family, dropout=0.0).train(), build(family, dropout=0.5).train()
    assert torch.equal(features(none, TEXTS).pooled, features(none, TEXTS).pooled)
    assert not torch.equal(features(half, TEXTS).pooled, features(half, TEXTS).pooled)
    assert torch.equal(features(half.eval(), TEXTS).pooled, features(none.eval(), TEXTS).pooled)


def test_without_the_option_dropout_is_the_models_own(build):
    assert {module.p for module in build("bert").modules() if isinstance(module, torch.nn.Dropout)} == {0.1}


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_gradient_checkpointing_changes_no_gradient(build, family):
    backbone = build(family, dropout=0.0).train()
    batch = backbone.collate([backbone.transform(True)(text) for text in TEXTS])
    gradients = []
    for _ in range(2):
        backbone.zero_grad()
        backbone(**batch).pooled.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in backbone.parameters()]))
        backbone.gradient_checkpointing()
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_a_relative_folder_is_made_absolute(tiny, monkeypatch):
    monkeypatch.chdir(tiny("bert").parent)
    backbone = builders.transformers(model=tiny("bert").name, weights="none")
    assert Path(backbone.resolved["model"]) == tiny("bert").resolve()


def test_facts_say_versions_and_whether_code_of_the_model_may_run(build):
    facts = build("bert").facts
    assert set(facts) == {"transformers", "tokenizers", "revision", "remote_code"}
    assert facts["remote_code"] == "forbid" and facts["revision"] is None


def test_what_lies_at_a_place_is_text(build, tmp_path):
    backbone = build("bert")
    (tmp_path / "film.txt").write_text("a good film", encoding="utf-8")
    for raw in ("a good film", ["a", "good", "film"], tmp_path / "film.txt", {"a": "which?", "b": "a good film"}):
        assert backbone.part(raw, 2.0, 6.0) == {"text": "good"}


def test_the_transform_is_picklable(build):
    transform = build("bert").transform(True)
    again = pickle.loads(pickle.dumps(transform))
    assert again("good film")["input_ids"].tolist() == transform("good film")["input_ids"].tolist()


def test_building_and_loading_print_nothing_and_leave_transformers_as_it_was(build, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    build("bert")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("strategy", ["linear_probe", "lora"])
def test_attention_pooling_learns_with_the_head_whatever_is_frozen(tiny, tmp_path, strategy):
    (tmp_path / "rows.csv").write_text("text,class\n" + "good,a\nvery bad film,b\n" * 8)
    backbone = {"name": "transformers", "model": str(tiny("bert")), "pooling": "attention"}
    recipe = {"dataset": {"name": "table", "path": str(tmp_path / "rows.csv"), "input": "text", "target": "class"},
              "backbone": backbone, "head": "classifier", "strategy": strategy, "metrics": ["accuracy"],
              "train": {"epochs": 1, "learning_rate": 0.01, "precision": "fp32", "workers": 0}}  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    inarch.train(tmp_path / "recipe.yaml", out=tmp_path / "run")
    assert inarch.load(tmp_path / "run").model.backbone.pooling.query.abs().max() > 0


@pytest.mark.parametrize("family", LAYERS)
def test_depth_keeps_the_first_blocks_with_their_weights(build, family):
    whole, half = build(family), build(family, depth=1)
    whole.load_weights()
    half.load_weights()
    assert len(half.layers()) == len(whole.layers()) - 1
    weights = whole.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in half.state_dict().items())
    assert features(half, TEXTS).pooled.shape == features(whole, TEXTS).pooled.shape
    assert not torch.equal(features(half, TEXTS).pooled, features(whole, TEXTS).pooled)


@pytest.mark.parametrize(
    ("family", "depth", "said"), [("bert", 3, "has 2 blocks, found 3"), ("albert", 1, "share their weights")]
)
def test_a_depth_that_a_model_does_not_have_is_refused(build, family, depth, said):
    with pytest.raises(RecipeError, match=said):
        build(family, depth=depth)
