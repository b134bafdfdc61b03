"""Tokens to one vector."""

import pytest
import torch

from inarch_text.pooling import Pooling

TOKENS = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]], [[5.0, 5.0], [7.0, 1.0], [0.0, 3.0]]])
MASK = torch.tensor([[True, True, False], [True, True, True]])


@pytest.mark.parametrize("way, expected", [
    ("cls", [[1, -4], [5, 5]]),
    ("mean", [[2, -3], [4, 3]]),
    ("max", [[3, -2], [7, 5]]),
    ("last", [[3, -2], [0, 3]]),
    ("attention", [[2, -3], [4, 3]]),
])  # fmt: skip
def test_padding_has_no_part_in_any_way_of_pooling(way, expected):
    assert torch.allclose(Pooling(way, 2)(TOKENS, MASK), torch.tensor(expected).float())


def test_attention_learns_which_tokens_count():
    pooling = Pooling("attention", 2)
    pooling(TOKENS, MASK).sum().backward()
    assert pooling.query.grad.abs().min() > 0
    with torch.no_grad():
        pooling.query.copy_(torch.tensor([100.0, 0.0]))
    assert torch.allclose(pooling(TOKENS, MASK), TOKENS[:, 1])


@pytest.mark.parametrize("way", ["mean", "attention"])
def test_means_of_half_precision_tokens_are_made_in_full(way):
    tokens = torch.full((1, 300, 1), 1.0, dtype=torch.bfloat16)
    tokens[0, 0] = 2.0
    pooled = Pooling(way, 1)(tokens, torch.ones(1, 300, dtype=torch.bool))
    assert pooled.item() == pytest.approx(301 / 300, abs=1e-5)
