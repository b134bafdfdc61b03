"""SpecAugment on batches, on the device. Shapes: B batch, F frames, K mel bands, M masks."""

import torch
from torch import Tensor


def blank(values: Tensor, masks: Tensor, fill: Tensor | float) -> Tensor:
    """Return spectrograms (B, K, F) with `fill` in what `masks` (B, M, 3) cover; AudioBackbone describes them."""
    covered = _covered(masks, 0, values.shape[2])[:, None] | _covered(masks, 1, values.shape[1])[..., None]
    return torch.where(covered, fill, values)


def _covered(masks: Tensor, kind: int, count: int) -> Tensor:
    """Return (B, count), True where a mask of this kind covers the middle of a frame or band."""
    middles = (torch.arange(count, device=masks.device) + 0.5) / count
    inside = (masks[..., 1:2] <= middles) & (middles < masks[..., 2:3]) & (masks[..., :1] == kind)
    return inside.any(1)
