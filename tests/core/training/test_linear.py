"""Linear layers through oneDNN are the same linear layers."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from inarch.training import linear
from inarch.training.hardware import prepare_model

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


def layer(inputs: int = 128, outputs: int = 192, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias)


def faster(module: nn.Linear) -> nn.Linear:
    copied = copy.deepcopy(module)
    copied.forward = linear.Linear(copied)
    return copied


def gradients(module: nn.Module, inputs: Tensor) -> list[Tensor]:
    leaf = inputs.detach().requires_grad_()
    outputs = module(leaf[:, ::2] if leaf.ndim == 4 else leaf)
    (outputs * torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view_as(outputs)).sum().backward()
    return [outputs, leaf.grad, *(parameter.grad for parameter in module.parameters())]


def went_through_onednn(outputs: Tensor) -> bool:
    return type(outputs.grad_fn).__name__ == "_LinearBackward"


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("shape", [(64, 128), (3, 37, 128), (32, 24, 128), (4, 6, 5, 128)], ids=str)
def test_outputs_and_gradients_are_those_of_autograd(shape: tuple[int, ...], bias: bool) -> None:
    inputs = torch.randn(shape)
    plain = layer(bias=bias)
    fast = faster(plain)
    found = gradients(fast, inputs)
    assert went_through_onednn(found[0]) == (shape != (4, 6, 5, 128))  # every second of these is 60 rows: too few
    for expected, value in zip(gradients(plain, inputs), found, strict=True):
        assert (value - expected).norm() <= 1e-6 * expected.norm()


def test_inputs_that_do_not_lie_together_give_the_same() -> None:
    hidden = torch.randn(80, 7, 128, requires_grad=True)
    plain = layer()
    fast = faster(plain)
    for view in (hidden[:, 0], hidden.transpose(0, 1)):
        found = fast(view)
        assert went_through_onednn(found)
        torch.testing.assert_close(found, plain(view))


def test_the_same_inputs_give_the_same_bits() -> None:
    inputs = torch.randn(32, 24, 128)
    module = faster(layer())
    once = gradients(module, inputs)
    module.zero_grad()
    again = gradients(module, inputs)
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


def test_a_network_of_linear_layers_trains_to_the_same_weights() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(128, 256), nn.GELU(), nn.Linear(256, 128), nn.LayerNorm(128), nn.Linear(128, 2))
    fast = copy.deepcopy(plain)
    for module in fast:
        if linear.fits(module):
            module.forward = linear.Linear(module)
    inputs, targets = torch.randn(64, 128), torch.randint(0, 2, (64,))
    for model in (plain, fast):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    for expected, found in zip(plain.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_frozen_layer_has_no_gradient_and_passes_one_on() -> None:
    module = faster(layer())
    module.requires_grad_(False)
    inputs = torch.randn(64, 128, requires_grad=True)
    module(inputs).sum().backward()
    assert module.weight.grad is None
    assert module.bias.grad is None
    torch.testing.assert_close(inputs.grad, module.weight.sum(0).expand(64, -1))
    assert not module(inputs.detach()).requires_grad


def test_few_rows_other_types_and_autocast_go_the_usual_way() -> None:
    module = faster(layer())
    assert went_through_onednn(module(torch.randn(64, 128)))
    assert not went_through_onednn(module(torch.randn(63, 128)))
    with torch.autocast("cpu", torch.bfloat16):
        outputs = module(torch.randn(64, 128))
    assert outputs.dtype == torch.bfloat16
    assert not went_through_onednn(module.double()(torch.randn(64, 128, dtype=torch.float64)))
    assert module.float()(torch.empty(0, 128)).shape == (0, 192)


def test_a_compiled_layer_goes_the_usual_way() -> None:
    module, inputs, seen = faster(layer()), torch.randn(64, 128), []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        seen.extend(node.target for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    torch.testing.assert_close(torch.compile(module, backend=backend)(inputs), module(inputs))
    assert seen == [nn.functional.linear]


@pytest.mark.parametrize(
    "module",
    [nn.Linear(128, 2), nn.Linear(64, 128), nn.Bilinear(128, 128, 128), nn.Conv1d(128, 128, 1)],
    ids=["few outputs", "few inputs", "bilinear", "convolution"],
)
def test_other_layers_are_left_alone(module: nn.Module) -> None:
    assert linear.fits(layer())
    assert not linear.fits(module)


@pytest.mark.parametrize(
    ("maker", "answer"), [("AuthenticAMD", True), ("GenuineIntel", False)], ids=["measured", "not measured"]
)
def test_the_maker_of_the_processor_decides(maker: str, answer: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {maker}\nmodel name\t: AuthenticAMD's rival\n")
    assert linear.is_faster(tmp_path / "cpuinfo") is answer
    assert not linear.is_faster(tmp_path / "missing")


@pytest.mark.parametrize("here", [True, False], ids=["faster here", "not faster here"])
def test_a_prepared_model_keeps_the_names_of_its_weights(here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "is_faster", lambda: here)
    model = nn.Sequential(layer(), nn.Linear(192, 2))
    names = list(model.state_dict())
    levers = prepare_model(model, torch.device("cpu"), "fp32")
    assert ("linear layers through oneDNN" in levers) is here
    assert went_through_onednn(model[0](torch.randn(64, 128))) is here
    assert list(model.state_dict()) == names
    copied = copy.deepcopy(model)
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.zero_()
    inputs = torch.ones(64, 128)
    assert model[0](inputs).abs().max() == 0
    assert copied[0](inputs).abs().max() > 0
