"""The metric: how many classes an answer is off.

Shapes: B batch, C classes.
"""

import torch
from torch import Tensor
from torchmetrics import Metric


class Distance(Metric):
    """The macro-averaged absolute error of ordered classes: 0 is perfect, 1 is one class off on average.

    A mean for each class, then over the classes that have examples, so that a rare class counts as much as a frequent
    one (Baccianella, Esuli and Sebastiani, Evaluation measures for ordinal regression, ISDA 2009).

    Its states are sums of whole numbers: the value is the same for any batches and any number of processes.
    """

    higher_is_better = False
    full_state_update = False
    apart: Tensor
    count: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        for name in ("apart", "count"):
            self.add_state(name, torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Take what `Head.scores` says, (B, C), and class numbers (B,)."""
        self.apart.index_add_(0, targets, (scores.argmax(1) - targets).abs())
        self.count.index_add_(0, targets, torch.ones_like(targets))

    def compute(self) -> Tensor:
        """Return a scalar, 0 to C - 1."""
        present = self.count > 0
        return (self.apart[present] / self.count[present]).mean()
