"""What heads over units (words, frames) share. Shapes: B batch, D features, T tokens, U units, W windows."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inarch.interfaces.backbone import Features


def layers(num_features: int, size: int, hidden: int | None, dropout: float) -> nn.Sequential:
    """Return an optional hidden layer with GELU, dropout, and a linear layer to `size` outputs."""
    first = [nn.Linear(num_features, hidden), nn.GELU()] if hidden else []
    return nn.Sequential(*first, nn.Dropout(dropout), nn.Linear(hidden or num_features, size))


def gather(features: Features) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the tokens that answer for each unit (B, U, D), and what of the outputs tells where units are.

    These are `places` (B, U, 2), and `seen` (B, U): the unit has a token; it was not cut off and is no padding.
    """
    assert features.tokens is not None and features.units is not None and features.places is not None
    none = max(0, 1 - features.units.shape[1])  # of inputs without any unit: one of padding, for maxima over units
    units, places = F.pad(features.units, (0, none), value=-1), F.pad(features.places, (0, 0, 0, none))
    index = units.clamp_min(0)[..., None].expand(-1, -1, features.tokens.shape[-1])
    return features.tokens.gather(1, index), {"places": places, "seen": units >= 0}


def join(outputs: Mapping[str, Tensor], kept: Tensor) -> dict[str, Tensor]:
    """Return one input's outputs (1, units, ...) from those (W, U, ...) of its windows, the units of all in order.

    A unit is kept by the window whose stretch [start, end), of `kept` (W, 2), holds its middle. Each window goes on
    where the units of the one before it ended: rounding neither loses nor doubles a unit that two windows share. Units
    that are not seen are left out; if none is seen the first stays.
    """
    places, seen = outputs["places"].cpu(), outputs["seen"].bool().cpu()
    middles = places.mean(-1)
    after = kept[0, 0].item()
    chosen = torch.zeros_like(seen)
    for window, end in enumerate(kept[:, 1].tolist()):
        chosen[window] = seen[window] & (middles[window] >= after) & (middles[window] < end)
        after = max([after, *places[window, chosen[window], 1].tolist()[-1:]])
    index = chosen.flatten().nonzero()[:, 0] if chosen.any() else torch.zeros(1, dtype=torch.long)
    return {name: tensor.flatten(0, 1)[index.to(tensor.device)][None] for name, tensor in outputs.items()}


def real(places: Tensor) -> Tensor:
    """Say of each unit (B, U) whether it is no padding, which lies at (0, 0)."""
    return places[..., 1] > 0


def readable(place: float) -> float:
    """Return a place for people: whole numbers (of characters) as such, seconds to a tenth of a millisecond."""
    return int(place) if place.is_integer() else round(place, 4)


def pad(rows: Sequence[list[Any]], zero: int | tuple[float, ...]) -> Tensor:
    """Return rows of different lengths as one tensor (B, longest, ...), filled up with `zero`, whose type it has."""
    like, width = torch.tensor(zero), max(map(len, rows), default=0)
    filled = [row + [zero] * (width - len(row)) for row in rows]
    return torch.tensor(filled, dtype=like.dtype).view(len(rows), width, *like.shape)
