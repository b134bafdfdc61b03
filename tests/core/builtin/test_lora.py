"""Low-rank adapters: which layers get them, what they compute, what merging leaves."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from inarch_toy.backbone import Vectors
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import inarch
from inarch import Features, plugins
from inarch.builtin import lora as adapters
from inarch.builtin.strategies import lora
from inarch.document import Document
from inarch.recipe import Train
from inarch.schema import bind

INPUTS = torch.linspace(-1, 1, 20).view(5, 4)


def vectors(norm: bool = False) -> Vectors:
    torch.manual_seed(0)
    return Vectors("none", 4, 8, 2, 0.0, norm, 0.0, False, 0).eval()


def shake(backbone: nn.Module) -> None:
    """Give every adapter a product that is not zero, as training does, and go to evaluation."""
    backbone.eval()
    for name, parameter in backbone.named_parameters():
        if ".lora_" in name:
            nn.init.normal_(parameter)


class Wrapped(inarch.Backbone):
    """A backbone around any modules, one after the other."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        self.inner = nn.ModuleDict(modules)

    def transform(self, training: bool) -> Any:
        return torch.tensor

    def forward(self, **batch: Tensor) -> Features:
        return Features(pooled=nn.Sequential(*self.inner.values())(batch["x"]))


def test_adapters_change_nothing_before_training() -> None:
    backbone = vectors()
    expected = backbone(vector=INPUTS).pooled
    lora().adapt(backbone)
    assert torch.equal(backbone(vector=INPUTS).pooled, expected)


def test_the_one_phase_trains_adapters_alone_at_the_recipes_rate() -> None:
    backbone = vectors(norm=True)
    strategy = lora(rank=3, head_multiplier=10.0)
    strategy.adapt(backbone)
    [phase] = strategy.phases(backbone, Train(learning_rate=0.1, epochs=5))
    assert (phase.epochs, phase.frozen, phase.layer_rates, phase.head_rate) == (5, (), (0.1, 0.1), 1.0)
    shapes = {name: tuple(p.shape) for name, p in backbone.named_parameters() if name in (phase.trains or ())}
    assert shapes == {
        "blocks.0.0.lora_A.default.weight": (3, 4),
        "blocks.0.0.lora_B.default.weight": (8, 3),
        "blocks.1.0.lora_A.default.weight": (3, 8),
        "blocks.1.0.lora_B.default.weight": (8, 3),
    }


def test_the_beginning_is_drawn_from_torchs_generator() -> None:
    drawn = []
    for seed in (1, 1, 2):
        backbone = vectors()
        torch.manual_seed(seed)
        lora().adapt(backbone)
        drawn.append(backbone.state_dict()["blocks.0.0.lora_A.default.weight"])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("rank", [1, 8, 50])  # 50: more than the layers have
def test_merged_weights_compute_the_same_and_have_plain_names(rank: int) -> None:
    backbone, strategy = vectors(), lora(rank=rank, alpha=3.0, merge=True)
    before = backbone(vector=INPUTS).pooled
    strategy.adapt(backbone)
    shake(backbone)
    expected = backbone(vector=INPUTS).pooled
    assert strategy.merge(backbone) is True
    assert list(backbone.state_dict()) == list(vectors().state_dict())
    assert backbone(vector=INPUTS).pooled.allclose(expected, atol=1e-5)
    assert not expected.allclose(before, atol=1e-2)


def test_adapters_that_are_not_to_be_merged_stay() -> None:
    backbone = vectors()
    lora().adapt(backbone)
    names = list(backbone.state_dict())
    assert lora().merge(backbone) is False
    assert list(backbone.state_dict()) == names


KINDS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear": (nn.Linear(6, 5), (2, 6)),
    "convolution 1 x 1": (nn.Conv2d(6, 5, 1), (2, 6, 7, 7)),
    "convolution with a stride": (nn.Conv2d(6, 5, 3, stride=2, padding=1, bias=False), (2, 6, 7, 7)),
    "convolution over time": (nn.Conv1d(6, 5, 3, padding="same"), (2, 6, 9)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_is_adapted_and_merged(kind: str) -> None:
    layer, shape = KINDS[kind]
    backbone, inputs = Wrapped(layer=layer), torch.rand(shape)
    plain = layer(inputs)
    adapters.insert(backbone, 4, 8.0, 0.0, "auto")
    shake(backbone)
    expected = backbone(x=inputs).pooled
    assert expected is not None and not expected.allclose(plain, atol=1e-2)
    adapters.merge(backbone)
    assert backbone.inner["layer"] is layer
    assert layer(inputs).allclose(expected, atol=1e-3)


class Doubling(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.linear(inputs, 2 * self.weight, self.bias)


class Around(nn.Module):
    """Uses the weights of one of its layers without calling it, and looks at the type of another's."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_by, self.called = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.called(nn.functional.linear(inputs, self.passed_by.weight).to(self.called.weight.dtype))


UNFIT: dict[str, nn.Module] = {
    "torch's attention": nn.MultiheadAttention(8, 2),
    "torch's encoder layer": nn.TransformerEncoderLayer(8, 2, 16),
    "weights that are computed": weight_norm(nn.Linear(4, 4)),
    "a forward of its own": Doubling(4, 4),
    "groups": nn.Conv2d(4, 4, 3, groups=2),
    "dilation": nn.Conv2d(4, 4, 3, dilation=2),
    "an embedding": nn.Embedding(4, 4),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_layer_that_an_adapter_does_not_fit_gets_none(kind: str) -> None:
    with pytest.raises(inarch.RecipeError, match="finds no linear layer and no convolution"):
        adapters.choose(Wrapped(layer=UNFIT[kind]), "auto")


def test_a_layer_whose_weights_its_parent_reads_gets_none_and_its_neighbour_does() -> None:
    assert adapters.choose(Wrapped(layer=Around()), "auto") == ["inner.layer.called"]


def test_auto_is_all_linear_layers_or_all_convolutions_whichever_are_more() -> None:
    many = Wrapped(a=nn.Conv2d(3, 3, 1), b=nn.Linear(3, 3), c=nn.Linear(3, 3))
    few = Wrapped(a=nn.Conv2d(3, 3, 1), b=nn.Linear(3, 3), c=nn.Conv2d(3, 3, 1))
    assert adapters.choose(many, "auto") == ["inner.b", "inner.c"]
    assert adapters.choose(few, "auto") == ["inner.a", "inner.c"]


@pytest.mark.parametrize(
    "targets, expected",
    [
        (["query"], ["inner.0.query", "inner.1.query"]),
        (["1.query", "key"], ["inner.0.key", "inner.1.key", "inner.1.query"]),
        (["inner.0.query"], ["inner.0.query"]),
        ([r"inner\.\d+\.(query|key)"], ["inner.0.key", "inner.0.query", "inner.1.key", "inner.1.query"]),
    ],
)
def test_targets_are_names_their_last_parts_or_regular_expressions(targets: list[str], expected: list[str]) -> None:
    layers = {str(n): nn.ModuleDict({part: nn.Linear(2, 2) for part in ("query", "key", "value")}) for n in range(2)}
    backbone = Wrapped(**layers)
    assert adapters.choose(backbone, targets) == expected
    adapters.insert(backbone, 2, 2.0, 0.0, targets)
    names = {name.split(".lora_")[0] for name, _ in backbone.named_parameters() if ".lora_" in name}
    assert sorted(names) == expected


def test_targets_that_match_nothing_are_an_error_with_the_nearest_name() -> None:
    backbone = Wrapped(query=nn.Linear(2, 2), norm=nn.LayerNorm(2))
    with pytest.raises(inarch.RecipeError, match=r"strategy\.targets: unknown layer 'qurey'. Did you mean 'query'\?"):
        adapters.choose(backbone, ["query", "qurey"])
    with pytest.raises(inarch.RecipeError, match="unknown layer 'norm'"):
        adapters.choose(backbone, ["norm"])
    with pytest.raises(inarch.RecipeError, match=r"'\(' is not a regular expression"):
        adapters.choose(backbone, ["("])
    with pytest.raises(inarch.RecipeError, match="an empty list adapts nothing"):
        adapters.choose(backbone, [])


def test_a_recipe_may_write_one_target_or_a_list_or_auto() -> None:
    def bound(targets: Any) -> Any:
        return bind(lora, {"targets": targets}, Document("here", {}), ())["targets"]

    assert (bound("auto"), bound("query"), bound(["q", "v"])) == ("auto", ["query"], ["q", "v"])


def test_a_missing_peft_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inarch.builtin.strategies.find_spec", lambda name: None)
    entry = plugins.loaded().find("strategies", "lora", "here")
    with pytest.raises(inarch.PluginError, match=r"No module named 'peft'. Try: pip install 'inarch\[lora\]'"):
        plugins.build(entry, {})


LIGHT = """
import sys
from inarch import plugins
plugins.build(plugins.loaded().find("strategies", "lora", "here"), {})
print(sorted({"torch", "peft", "transformers"} & sys.modules.keys()))
"""


def test_a_recipe_with_adapters_is_checked_without_torch_and_peft() -> None:
    ended = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"
