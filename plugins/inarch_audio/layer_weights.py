"""A learned mean over what all layers of a network say. Shapes: B batch, T tokens, D features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LayerWeights(nn.Module):
    """One weight per layer, made shares by softmax (SUPERB, arXiv 2105.01051); at the start all layers count alike."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(count))

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Return (B, T, D), the weighted sum of as many states (B, T, D), in float32."""
        if len(states) != len(self.weights):
            raise ValueError(f"expected the states of {len(self.weights)} layers, found {len(states)}")
        shares = self.weights.float().softmax(0)
        total = shares[0] * states[0].float()
        for share, state in zip(shares[1:], states[1:], strict=True):
            total = total + share * state.float()
        return total
