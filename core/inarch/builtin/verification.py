"""Verification: embeddings of inputs, learnt by telling the identities of train apart with a margin.

Shapes: B batch, C identities of train, D features or, where the recipe says so, `dimensions`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inarch.builtin.embedder import Embedder
from inarch.interfaces.backbone import Features
from inarch.interfaces.dataset import Targets

IGNORED = -100


def additive_margin(cosines: Tensor, identities: Tensor, scale: float, margin: float) -> Tensor:
    """Return the cross-entropy (B,) of `scale` x cosines (B, C), the true identity's less `margin`.

    Wang, Liu, Cheng and Liu 2018, Additive margin softmax for face verification (arXiv 1801.05599, equation 6). An
    identity (B,) that is not one of the C has none: 0.
    """
    known = identities < cosines.shape[1]
    truth = torch.where(known, identities, IGNORED)
    lessened = cosines - margin * F.one_hot(identities * known, cosines.shape[1])
    return F.cross_entropy(scale * lessened, truth, reduction="none", ignore_index=IGNORED)


class Verification(Embedder):
    """An embedding per example; examples are of one identity if the cosine of theirs is above a threshold."""

    def __init__(self, targets: Targets, scale: float, margin: float, *options: Any) -> None:
        super().__init__(*options)
        self.identities, self.values = targets.classes, targets.details["values"]
        self.scale, self.margin = scale, margin
        self.linear = nn.Linear(self.width, len(self.identities), bias=False)

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return the numbers of identities (B,); C and above are not in train."""
        return torch.tensor([self.values[str(target)] for target in targets])

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return `embeddings` (B, D) of length 1, and `cosines` (B, C) to the identities of train."""
        embeddings = self.embed(features)
        return {"embeddings": embeddings, "cosines": F.linear(embeddings, F.normalize(self.linear.weight, dim=-1))}

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss summed over the examples whose identity is in train, and their number."""
        losses = additive_margin(outputs["cosines"], targets, self.scale, self.margin)
        return losses.sum(), (targets < len(self.identities)).sum().to(losses.dtype)

    def scores(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Return the embeddings (B, D)."""
        return outputs["embeddings"]

    def predict(self, outputs: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """Return the likeliest identity of train, its cosine as `score`, and the `embedding`."""
        scores, numbers = outputs["cosines"].max(-1)
        rows = zip(scores.tolist(), numbers.tolist(), outputs["embeddings"].tolist(), strict=True)
        return [
            {"class": self.identities[number], "score": score, "embedding": [round(value, 6) for value in embedding]}
            for score, number, embedding in rows
        ]

    def join(self, outputs: Mapping[str, Tensor], kept: Tensor) -> dict[str, Tensor]:
        """Return the outputs of the mean embedding of an input's windows, brought to length 1."""
        joined: dict[str, Tensor] = super().join(outputs, kept)
        length = joined["embeddings"].norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        return {name: tensor / length for name, tensor in joined.items()}
