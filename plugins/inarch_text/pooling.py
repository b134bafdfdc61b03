"""Tokens to one vector. Shapes: B batch, T tokens, D features."""

import torch
from torch import Tensor, nn


class Pooling(nn.Module):
    """The ways to make (B, D) of tokens (B, T, D) with a mask (B, T); `attention` learns which tokens count.

    Attention pooling is one learned query; it starts at zero, where all tokens count alike and it is the mean.
    """

    def __init__(self, way: str, num_features: int) -> None:
        super().__init__()
        self.way = way
        if way == "attention":
            self.query = nn.Parameter(torch.zeros(num_features))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return (B, D); what is masked out has no part in it."""
        if self.way == "cls":
            return tokens[:, 0]
        if self.way == "last":
            return tokens[torch.arange(len(tokens), device=tokens.device), mask.sum(1) - 1]
        if self.way == "max":
            return tokens.masked_fill(~mask[..., None], float("-inf")).amax(1)
        return (tokens * self._weights(tokens, mask)[..., None]).sum(1)  # in float32, whatever the tokens are

    def _weights(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the share (B, T) of each token."""
        if self.way == "mean":
            return mask / mask.sum(1, keepdim=True)
        scores = tokens.float() @ self.query.float() / len(self.query) ** 0.5
        return scores.masked_fill(~mask, float("-inf")).softmax(1)
