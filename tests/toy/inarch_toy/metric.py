"""A metric on predictions."""

import torch
from torchmetrics import Metric


class Starts(Metric):
    """The share of examples of which all segments begin where they should, whatever they are called."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("right", "total"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, predictions, targets) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            tags = bool(target) and isinstance(target, list) and isinstance(target[0], str)
            self.right += _starts(prediction["tags"] if tags else prediction) == _starts(target)
            self.total += 1

    def compute(self) -> torch.Tensor:
        return self.right / self.total


def _starts(found) -> list[int]:
    """Of `{segments: [...]}`, a list of segments, one segment, or tags."""
    segments = found.get("segments", [found]) if isinstance(found, dict) else found
    if segments and isinstance(segments[0], str):
        return [index for index, tag in enumerate(segments) if tag.startswith("B")]
    return sorted(segment["start"] for segment in segments)
