"""Metrics that torchmetrics has in a slightly different meaning."""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix


class BalancedAccuracy(MulticlassConfusionMatrix):
    """Mean recall over the classes that have examples.

    torchmetrics' macro recall also counts a class that was predicted but has no example, as zero.
    """

    def compute(self) -> Tensor:
        """Return a scalar, 0 to 1."""
        confusion = super().compute().double()
        present = confusion.sum(1) > 0
        return (confusion.diagonal()[present] / confusion.sum(1)[present]).mean().to(torch.float32)
