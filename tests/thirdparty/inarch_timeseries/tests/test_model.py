"""The backbone, the head and the metric, by hand."""

import pytest
import torch
from inarch import RecipeError, Targets

from inarch_timeseries import builders


def backbone(**options):
    torch.manual_seed(0)
    small = {"context": 12, "patch": 3, "width": 8, "attention_heads": 2, "dropout": 0.0}
    return builders.patches(**{**small, **options}).eval()


def windows(channels=1):
    torch.manual_seed(1)
    return torch.randn(4, 12, channels).cumsum(1)


@torch.no_grad()
def test_level_and_unit_of_a_series_change_nothing_but_the_scale():
    model, window = backbone(), windows()
    features, moved = model(window=window), model(window=1000 + 7 * window)
    assert torch.allclose(features.tokens, moved.tokens, atol=1e-3)
    assert torch.allclose(moved.scale[..., 0], 1000 + 7 * window[:, -1]) and torch.allclose(
        moved.scale[..., 1], 7 * features.scale[..., 1], rtol=1e-3
    )


@torch.no_grad()
def test_channels_do_not_see_each_other():
    model, window = backbone(), windows(3)
    together = model(window=window)
    alone = [model(window=window[..., [channel]]) for channel in range(3)]
    assert torch.allclose(together.tokens, torch.cat([one.tokens for one in alone], 1), atol=1e-6)
    assert torch.allclose(together.scale, torch.cat([one.scale for one in alone], 1))


@torch.no_grad()
def test_forecasts_are_in_the_units_of_the_input():
    head = builders.forecast(Targets("futures", details={"horizon": 2, "channels": 3}), 8).eval()
    model, window = backbone(), windows(3)
    found, moved = head(model(window=window)), head(model(window=50 + 4 * window))
    assert found["forecast"].shape == (4, 2, 3)
    assert torch.allclose(50 + 4 * found["forecast"], moved["forecast"], atol=1e-2)
    head.linear.weight.zero_()
    head.linear.bias.zero_()
    assert torch.allclose(head(model(window=window))["forecast"], window[:, -1:].expand(-1, 2, -1))  # the naive one


def test_the_loss_is_a_sum_of_errors_in_units_of_the_spread():
    head = builders.forecast(Targets("futures", details={"horizon": 2, "channels": 1}), 8)
    truth = [{"values": [[1.0], [3.0]], "unit": [1.0]}, {"values": [[0.0], [0.0]], "unit": [1.0]}]
    outputs = {"forecast": torch.tensor([[[0.0], [0.0]], [[5.0], [0.0]]]), "spread": torch.tensor([[2.0], [1.0]])}
    total, count = head.loss(outputs, head.encode(truth))
    assert (total.item(), count.item()) == (1.0 + 2.5, 2)
    assert head.predict(outputs)[1] == {"forecast": [[5.0], [0.0]]}


def test_the_scaled_error_is_that_of_a_hand():
    metric = builders.mase(Targets("futures"))
    metric.update([{"forecast": [[1.0, 0.0], [2.0, 0.0]]}], [{"values": [[2.0, 0.0], [2.0, 4.0]], "unit": [0.5, 2.0]}])
    assert metric.compute().item() == (1 / 0.5 + 4 / 2) / 4
    metric.update([{"forecast": [[0.0]]}], [{"values": [[3.0]], "unit": [3.0]}])
    assert metric.compute().item() == pytest.approx((2 + 2 + 1) / 5)


@pytest.mark.parametrize("option, told", [({"patch": 12}, "backbone.patch"), ({"width": 9}, "backbone.width")])
def test_sizes_that_do_not_fit_are_told(option, told):
    with pytest.raises(RecipeError, match=told):
        backbone(**option)
