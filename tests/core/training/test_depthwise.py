"""The faster gradient of 5 x 5 depthwise convolutions is the same gradient."""

import copy

import pytest
import torch
from torch import Tensor, nn

from inarch.training import depthwise
from inarch.training.hardware import prepare_model


def convolution(channels: int = 6) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False).double()


def gradients(module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    inputs = inputs.clone().requires_grad_()
    outputs = module(inputs)
    (outputs * torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view_as(outputs)).sum().backward()
    return outputs, inputs.grad, next(module.parameters()).grad


@pytest.mark.parametrize("size", [(5, 5), (3, 7), (14, 14), (20, 20)], ids=str)
def test_outputs_and_gradients_are_those_of_autograd(size: tuple[int, int]) -> None:
    inputs = torch.randn(4, 6, *size, dtype=torch.float64)
    plain = convolution()
    fast = copy.deepcopy(plain)
    assert depthwise.fits(fast)
    fast.forward = depthwise.Convolution(fast)
    for expected, found in zip(gradients(plain, inputs), gradients(fast, inputs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_frozen_convolution_has_no_gradient() -> None:
    module = convolution()
    module.forward = depthwise.Convolution(module)
    module.requires_grad_(False)
    assert not module(torch.randn(2, 6, 5, 5, dtype=torch.float64)).requires_grad


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(6, 6, 5, padding=2, groups=6),
        nn.Conv2d(6, 6, 5, padding=2, bias=False),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        nn.Conv2d(6, 6, 5, padding=2, stride=2, groups=6, bias=False),
        nn.Conv2d(6, 12, 5, padding=2, groups=6, bias=False),
    ],
    ids=["bias", "dense", "3 x 3", "stride", "more channels"],
)
def test_other_convolutions_are_left_alone(module: nn.Conv2d) -> None:
    assert not depthwise.fits(module)


def test_a_copy_of_a_prepared_model_has_weights_of_its_own() -> None:
    model = nn.Sequential(convolution().float())
    assert "gradient of 5 x 5 depthwise convolutions by groups" in prepare_model(model, torch.device("cpu"), "bf16")
    copied = copy.deepcopy(model)
    with torch.no_grad():
        model[0].weight.zero_()
    inputs = torch.ones(1, 6, 5, 5)
    assert model(inputs).abs().max() == 0
    assert copied(inputs).abs().max() > 0
