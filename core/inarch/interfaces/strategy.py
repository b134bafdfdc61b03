"""What a strategy is: how transfer is done, as phases. Light: imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from inarch.recipe import Train


@dataclass(frozen=True)
class Phase:
    """A stretch of training with fixed trainable layers."""

    name: str
    epochs: int
    layer_rates: tuple[float | None, ...]
    """The peak learning rate of each backbone layer, from input to output; None: frozen."""
    head_rate: float
    """The peak learning rate of the head."""

    @property
    def frozen(self) -> tuple[int, ...]:
        """Numbers of the frozen layers."""
        return tuple(index for index, rate in enumerate(self.layer_rates) if rate is None)


class Strategy(ABC):
    """Turns the backbone's layers and the recipe's `train` into phases."""

    random_weights = False
    """True: the backbone keeps its random weights, whatever the recipe's `weights` say."""

    @abstractmethod
    def phases(self, layers: Sequence[Sequence[str]], train: Train) -> list[Phase]:
        """Return the phases, in order; `layers` are `Backbone.layers()`."""
