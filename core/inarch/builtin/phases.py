"""The phases that strategies are made of. Imports no torch."""

from typing import TYPE_CHECKING, Annotated

from inarch.interfaces.strategy import Phase
from inarch.recipe import Train
from inarch.schema import Range

if TYPE_CHECKING:
    from inarch.interfaces.backbone import Backbone

Decay = Annotated[float, Range(above=0, most=1)]
Multiplier = Annotated[float, Range(above=0)]


def all_layers(
    name: str, backbone: "Backbone", train: Train, epochs: int, rate: float, layer_decay: float, head_multiplier: float
) -> Phase:
    """Return a phase that trains all layers.

    The last one's rate is `rate` times the recipe's, an earlier one's `layer_decay` times the next one's, the head's
    `head_multiplier` times the last one's.
    """
    depth, last = len(backbone.layers()), train.learning_rate * rate
    rates = tuple(last * layer_decay ** (depth - 1 - index) for index in range(depth))
    return Phase(name, epochs, rates, last * head_multiplier)


def head_alone(backbone: "Backbone", train: Train, epochs: int) -> Phase:
    """Return a phase that fits the head to the features of evaluation, or where that cannot be trains it alone."""
    return Phase("linear_probe", epochs, (None,) * len(backbone.layers()), train.learning_rate, views=1)
