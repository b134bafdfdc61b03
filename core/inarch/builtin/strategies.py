"""Strategies: everything, the head alone, adapters, and the control without transfer. Imports no torch."""

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

from inarch.interfaces.strategy import Phase, Strategy
from inarch.recipe import Train
from inarch.schema import Range

if TYPE_CHECKING:
    from inarch.interfaces.backbone import Backbone

Decay = Annotated[float, Range(above=0, most=1)]
Multiplier = Annotated[float, Range(above=0)]


class Full(Strategy):
    """Train all layers, each at its own rate."""

    def __init__(self, layer_decay: float, head_multiplier: float) -> None:
        self.layer_decay, self.head_multiplier = layer_decay, head_multiplier

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return one phase; the last layer has the recipe's rate, earlier ones `layer_decay` times the next one's."""
        depth = len(backbone.layers())
        rates = tuple(train.learning_rate * self.layer_decay ** (depth - 1 - index) for index in range(depth))
        return [Phase("full", train.epochs, rates, train.learning_rate * self.head_multiplier)]


class LinearProbe(Strategy):
    """Train the head alone, on a frozen backbone."""

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return one phase with every backbone layer frozen."""
        return [Phase("linear_probe", train.epochs, (None,) * len(backbone.layers()), train.learning_rate)]


class Scratch(Full):
    """Train all layers from random weights."""

    random_weights = True


class Lora(Full):
    """Train low-rank adapters and the head."""

    def __init__(
        self, rank: int, alpha: float, dropout: float, targets: Literal["auto"] | list[str], merge: bool, head: float
    ) -> None:
        super().__init__(1.0, head)
        self.rank, self.alpha, self.dropout, self.targets, self.merges = rank, alpha, dropout, targets, merge

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return one phase that trains the parameters that peft made, known by their names."""
        [phase] = super().phases(backbone, train)
        trains = frozenset(name for layer in backbone.layers() for name in layer if ".lora_" in name)
        return [replace(phase, name="lora", trains=trains)]

    def adapt(self, backbone: "Backbone") -> None:
        """Insert the adapters."""
        from inarch.builtin import lora  # brings torch

        lora.insert(backbone, self.rank, self.alpha, self.dropout, self.targets)

    def merge(self, backbone: "Backbone") -> bool:
        """Add the adapters to the weights, if the recipe says so."""
        from inarch.builtin import lora

        if self.merges:
            lora.merge(backbone)
        return self.merges


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


def lora(
    *,
    rank: Annotated[int, Range(least=1)] = 8,
    alpha: Annotated[float, Range(above=0)] = 16.0,
    dropout: Annotated[float, Range(least=0, below=1)] = 0.05,
    targets: Literal["auto"] | list[str] = "auto",
    merge: bool = False,
    head_multiplier: Multiplier = 1.0,
) -> Strategy:
    """Train small adapters beside frozen layers, and the head (LoRA, arXiv 2106.09685).

    A `train.learning_rate` of 2e-4 to 5e-4 is usual. rank, alpha: an adapter has rank 8 and counts alpha / rank, as the
    paper's RoBERTa large. dropout: on an adapter's input.
    targets: auto is every linear layer, as in QLoRA (arXiv 2305.14314), or, where there are more of them, every
    ungrouped convolution; or a list of names, of their last parts, or of regular expressions, as in peft.
    merge: true adds the adapters to the weights before anything is measured on test, and the bundle is a usual one;
    false makes a small bundle of adapters and head that needs the backbone's weights where they were to be opened.
    """
    if find_spec("peft") is None:
        raise ImportError("No module named 'peft'")
    return Lora(rank, alpha, dropout, targets, merge, head_multiplier)
