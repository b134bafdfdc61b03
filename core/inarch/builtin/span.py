"""The head `span`. Shapes: B batch, U units."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from inarch.builtin.answer_targets import find_answers
from inarch.builtin.units import gather, join, layers, readable
from inarch.interfaces.backbone import Features
from inarch.interfaces.dataset import Targets
from inarch.interfaces.head import Head


class Span(Head):
    """One stretch of the input: where it starts, and where it ends."""

    needs = frozenset({"tokens", "units"})

    def __init__(self, targets: Targets, num_features: int, longest: int, hidden: int | None, dropout: float) -> None:
        super().__init__()
        self.longest = longest
        self.layers = layers(num_features, 2, hidden, dropout)

    def encode(self, targets: Sequence[Any]) -> Tensor:
        """Return start and end of the first answer of each (B, 2)."""
        return torch.tensor([find_answers(target)[0][:2] for target in targets], dtype=torch.float32)

    def forward(self, features: Features) -> dict[str, Tensor]:
        """Return `logits` (B, U, 2) of starting and ending in a unit, `places` (B, U, 2) and `seen` (B, U)."""
        vectors, where = gather(features)
        return {"logits": self.layers(vectors), **where}

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of both cross-entropies, summed over examples, and the number of examples.

        An answer is all units that it overlaps; one of which no unit is seen does not count.
        """
        logs, places = _masked(outputs).log_softmax(1), outputs["places"]
        touched = (places[..., 0] < targets[:, 1:]) & (places[..., 1] > targets[:, :1]) & outputs["seen"].bool()
        order = torch.arange(touched.shape[1], device=touched.device)
        first = torch.where(touched, order, touched.shape[1]).amin(1, keepdim=True)
        last = torch.where(touched, order, -1).amax(1, keepdim=True)
        counted = (last >= first)[:, 0]
        inside = torch.cat([first, last], 1).clamp(0, touched.shape[1] - 1)
        both = logs.gather(1, inside[:, None])[:, 0]  # (B, 2): row `first` of the starts, row `last` of the ends
        return -torch.where(counted, both.mean(1), 0.0).sum(), counted.sum().to(both.dtype)

    def join(self, outputs: Mapping[str, Tensor], kept: Tensor) -> dict[str, Tensor]:
        """Return the outputs of one input (1, U, ...): from each window the units of its stretch."""
        return join(outputs, kept)

    def predict(self, outputs: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """Return the likeliest stretch of at most `longest` units; its score is the product of both probabilities."""
        logs, places = _masked(outputs).log_softmax(1).cpu(), outputs["places"].cpu()
        return [self._best(*row) for row in zip(logs, places, strict=True)]

    def _best(self, logs: Tensor, places: Tensor) -> dict[str, Any]:
        starts, ends = logs.unbind(-1)
        allowed = torch.ones(len(logs), len(logs), dtype=torch.bool).triu().tril(self.longest - 1)
        score, found = (starts[:, None] + ends).masked_fill(~allowed, -torch.inf).flatten().max(0)
        first, last = divmod(int(found), len(logs))
        return {
            "start": readable(places[first, 0].item()),
            "end": readable(places[last, 1].item()),
            "score": score.exp().item(),
        }


def _masked(outputs: Mapping[str, Tensor]) -> Tensor:
    """Return logits (B, U, 2), the least number where no unit is; not minus infinity, for all units may be unseen."""
    logits = outputs["logits"].float()
    return logits.masked_fill(~outputs["seen"].bool()[..., None], torch.finfo(logits.dtype).min)
