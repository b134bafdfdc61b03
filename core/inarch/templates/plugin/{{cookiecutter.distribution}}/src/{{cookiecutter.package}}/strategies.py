"""The strategy: which layers are trained, for how long and at which rates. Light: strategies need no torch."""

from typing import TYPE_CHECKING

from inarch import Phase, RecipeError, Strategy

if TYPE_CHECKING:
    from inarch import Backbone, Train


class LastLayers(Strategy):
    """Train the last layers and the head (partial fine-tuning, as in MAE, arXiv 2111.06377)."""

    def __init__(self, layers: int, head_multiplier: float) -> None:
        self.layers, self.head_multiplier = layers, head_multiplier

    def phases(self, backbone: "Backbone", train: "Train") -> list[Phase]:
        """Return one phase. A rate for each of `Backbone.layers()`, None where it is frozen, and one for the head."""
        frozen = len(backbone.layers()) - self.layers
        if frozen < 0:
            told = f"the backbone has {len(backbone.layers())} layers, fewer than {self.layers}"
            raise RecipeError(f"strategy.layers: {told}")
        rates = (None,) * frozen + (train.learning_rate,) * self.layers
        return [Phase("last_layers", train.epochs, rates, self.head_multiplier * train.learning_rate)]
