"""What a strategy is: how transfer is done, as phases. Light: imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inarch.recipe import Train

if TYPE_CHECKING:
    from inarch.interfaces.backbone import Backbone  # brings torch


@dataclass(frozen=True)
class Phase:
    """A stretch of training with fixed trainable layers."""

    name: str
    epochs: int
    layer_rates: tuple[float | None, ...]
    """The peak learning rate of each backbone layer, from input to output; None: frozen."""
    head_rate: float
    """The peak learning rate of the head."""
    trains: frozenset[str] | None = None
    """Names of the backbone's parameters that are trained where their layer is not frozen; None: all."""

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

    def adapt(self, backbone: "Backbone") -> None:  # noqa: B027  (most strategies insert nothing)
        """Insert what is trained beside the backbone's own weights (adapters). Default: nothing.

        Called once the weights are loaded, and again when a bundle that keeps adapters is opened. `Backbone.layers()`
        must name the new parameters too.
        """

    def merge(self, backbone: "Backbone") -> bool:
        """Turn what `adapt` inserted into plain weights, when training is over; say whether the backbone is plain now.

        Where it is not, the bundle keeps what differs from the loaded weights, and opens on top of them.
        """
        return True
