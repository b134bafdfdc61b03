"""Each check of a backbone's features and layers passes a good one, and catches what it is for."""

from typing import Any

import pytest
import torch
from faulty_backbones import CHECKS, case
from inarch_toy.spelling import Letters
from torch import nn

from inarch.testing import backbone_layers, backbones
from inarch.testing.check import Inapplicable, Violation

NAMES = [check.name for module in (backbones, backbone_layers) for check in module.CHECKS]
GOOD = {
    "vectors": case("vectors", {"norm": True, "dropout": 0.3, "noise": 0.1}),
    "letters": case("letters", {"scaled": True}),
    "windows": case("letters", {"prepared": False, "window": 8}),
}


def changed(base: type = Letters, **fields: Any) -> Any:
    """Return a `forward` whose answer is changed: a field's new value, or a function of the features."""

    def forward(self, **batch):
        features = base.forward(self, **batch)
        return features._replace(**{name: make(features) for name, make in fields.items()})

    return forward


def neighbours(features):
    """The mean of tokens with the padding among them."""
    return features.tokens.mean(1)


def first_is_not_a_number(features):
    return features.pooled.masked_fill(torch.arange(len(features.pooled))[:, None] == 0, torch.nan)


def unused(backbone) -> None:
    backbone.unused = nn.Parameter(torch.zeros(3))


def counting(backbone) -> None:
    backbone.register_buffer("seen", torch.zeros(()))


def counts(self, **batch):
    self.seen += 1
    return Letters.forward(self, **batch)


def remembered(backbone) -> None:
    layers = type(backbone).__mro__[1].layers(backbone)
    backbone.layers = lambda: layers


def maps_of(*sides: int):
    return lambda features: tuple(features.pooled.new_ones(len(features.pooled), 2, side, side) for side in sides)


def forgetful(self) -> None:
    self.mixing.weight.register_hook(lambda gradient: 2 * gradient)


def renamed(self) -> None:
    self.mixing = nn.Sequential(self.mixing)


FAULTS = {
    "domain_is_the_registered_one": case("letters", change=lambda b: setattr(b, "domain", "texts")),
    "features_are_what_is_provided": case("letters", provides=frozenset({"pooled", "units"})),
    "features_have_the_declared_width": case("letters", change=lambda b: setattr(b, "num_features", 9)),
    "deterministic_in_evaluation": case("letters", forward=changed(pooled=lambda f: nn.functional.dropout(f.pooled))),
    "alone_as_in_a_batch": case("letters", forward=changed(pooled=neighbours)),
    "order_in_a_batch_does_not_matter": case("letters", forward=changed(pooled=lambda f: f.pooled.sort(0).values)),
    "features_are_finite_numbers": case("letters", forward=changed(pooled=first_is_not_a_number)),
    "masks_tell_real_tokens": case("letters", forward=changed(mask=lambda f: f.mask.float())),
    "maps_are_finest_first": case("letters", forward=changed(maps=maps_of(2, 4))),
    "units_number_real_tokens": case("letters", forward=changed(units=lambda f: f.units.clamp_min(0) + 1)),
    "places_lie_in_the_input": case("letters", forward=changed(places=lambda f: f.places + 1)),
    "layers_partition_the_parameters": case("letters", layers=lambda self: Letters.layers(self)[1:]),
    "layers_go_from_input_to_output": case("letters", layers=lambda self: Letters.layers(self)[::-1]),
    "every_parameter_gets_a_gradient": case("letters", change=unused),
    "frozen_layers_do_not_change": case("letters", change=counting, forward=counts, layers=lambda self: [
        ["embedding.weight"], ["mixing.weight", "mixing.bias"]]),
    "layers_name_what_is_inserted": case("letters", change=remembered),
    "fresh_parameters_exist": case("letters", change=lambda b: setattr(b, "fresh", frozenset({"scale"}))),
    "gradient_checkpointing_changes_no_gradient": case("letters", gradient_checkpointing=forgetful),
    "synchronised_norms_keep_their_names": case("letters", synchronise_norms=renamed),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("good", GOOD)
def test_a_good_backbone_passes(good: str, name: str) -> None:
    try:
        CHECKS[name](GOOD[good])
    except Inapplicable as reason:
        assert str(reason)


def test_there_is_a_fault_for_every_check() -> None:
    assert set(FAULTS) == set(NAMES)


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_catches_what_it_is_for(name: str) -> None:
    with pytest.raises(Violation) as caught:
        CHECKS[name](FAULTS[name])
    assert caught.value.check.name == name
