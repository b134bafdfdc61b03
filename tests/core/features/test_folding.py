"""Batch norm folded into convolutions: equal within the tolerance, or not used."""

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from inarch.features.folding import TOLERANCE, folded
from inarch.weights import fingerprint


class Net(nn.Module):
    """Convolutions of several kinds, each followed by a batch norm, but for the last."""

    def __init__(self, reused: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.reused = reused
        self.first, self.first_norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.second, self.second_norm = nn.Conv2d(8, 8, 3, groups=8, padding=1), nn.BatchNorm2d(8, affine=False)
        self.before, self.last = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)
        for norm in (self.first_norm, self.second_norm, self.before):
            norm.running_mean.normal_()  # type: ignore[union-attr]
            norm.running_var.uniform_(0.2, 3)  # type: ignore[union-attr]
        nn.init.normal_(self.first_norm.weight)
        nn.init.normal_(self.first_norm.bias)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first_norm(self.first(images)).relu()
        found = self.second(hidden)
        hidden = self.second_norm(found).relu() + (found if self.reused else hidden)
        return self.last(self.before(hidden)).mean((2, 3))


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 9, 9, generator=torch.Generator().manual_seed(count))


@torch.inference_mode()
def test_folding_changes_neither_the_features_nor_the_model() -> None:
    model = Net().eval()
    before, plain = fingerprint(model.state_dict()), model(images(8))
    norms = []
    with folded(model, lambda: model(images(2))) as folding:
        found = model(images(8))
        norms = list(folding.norms.values())
    assert 0 < (found - plain).abs().max() <= TOLERANCE * plain.abs().max() / 10
    assert {id(norm) for norm in norms} == {id(model.first_norm.running_mean), id(model.second_norm.running_mean)}
    assert fingerprint(model.state_dict()) == before
    assert torch.equal(model(images(8)), plain)


@torch.inference_mode()
def test_where_a_convolution_is_also_used_without_its_norm_nothing_is_folded() -> None:
    model = Net(reused=True).eval()
    plain = model(images(8))
    with folded(model, lambda: model(images(2))):
        assert torch.equal(model(images(8)), plain)


@pytest.mark.parametrize("model", [nn.Linear(3, 2), nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))])
@torch.inference_mode()
def test_without_convolutions_nothing_is_folded(model: nn.Module) -> None:
    assert isinstance(folded(model.eval(), lambda: model(torch.ones(2, 3))), nullcontext)


@torch.inference_mode()
def test_features_that_are_not_finite_are_not_folded() -> None:
    model = Net().eval()
    model.first.weight[0] = torch.nan
    assert isinstance(folded(model, lambda: model(images(2))), nullcontext)
