"""The first three strategies: everything, the head alone, and the control without transfer. Imports no torch."""

from collections.abc import Sequence
from typing import Annotated

from inarch.interfaces.strategy import Phase, Strategy
from inarch.recipe import Train
from inarch.schema import Range

Decay = Annotated[float, Range(above=0, most=1)]
Multiplier = Annotated[float, Range(above=0)]


class Full(Strategy):
    """Train all layers, each at its own rate."""

    def __init__(self, layer_decay: float, head_multiplier: float) -> None:
        self.layer_decay, self.head_multiplier = layer_decay, head_multiplier

    def phases(self, layers: Sequence[Sequence[str]], train: Train) -> list[Phase]:
        """Return one phase; the last layer has the recipe's rate, earlier ones `layer_decay` times the next one's."""
        depth = len(layers)
        rates = tuple(train.learning_rate * self.layer_decay ** (depth - 1 - index) for index in range(depth))
        return [Phase("full", train.epochs, rates, train.learning_rate * self.head_multiplier)]


class LinearProbe(Strategy):
    """Train the head alone, on a frozen backbone."""

    def phases(self, layers: Sequence[Sequence[str]], train: Train) -> list[Phase]:
        """Return one phase with every backbone layer frozen."""
        return [Phase("linear_probe", train.epochs, (None,) * len(layers), train.learning_rate)]


class Scratch(Full):
    """Train all layers from random weights."""

    random_weights = True


def full(*, layer_decay: Decay = 1.0, head_multiplier: Multiplier = 1.0) -> Strategy:
    """Fine-tune all layers.

    layer_decay: each layer's rate is this times the rate of the layer after it (0.65 to 0.9 for transformers; BEiT,
    arXiv 2106.08254, and MAE, arXiv 2111.06377).
    head_multiplier: the head's rate over `train.learning_rate` (10 in the fine-tuning protocol of TLlib).
    """
    return Full(layer_decay, head_multiplier)


def linear_probe() -> Strategy:
    """Train the head alone; the backbone is frozen: parameters, batch-norm statistics and dropout."""
    return LinearProbe()


def scratch(*, layer_decay: Decay = 1.0, head_multiplier: Multiplier = 1.0) -> Strategy:
    """Train all layers from random weights: the control that shows what transfer is worth. Options as for `full`."""
    return Scratch(layer_decay, head_multiplier)
