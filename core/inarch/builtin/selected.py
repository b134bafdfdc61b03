"""Strategies that train a few of the backbone's own parameters beside the head. Imports no torch."""

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from inarch.builtin.phases import Decay, Multiplier, all_layers
from inarch.errors import RecipeError
from inarch.interfaces.strategy import Phase, Strategy
from inarch.recipe import Train

if TYPE_CHECKING:
    from inarch.interfaces.backbone import Backbone


class Selected(Strategy):
    """Train some parameters of every layer, known by their names, and the head."""

    name: str
    what: str
    """What it trains, in words."""
    instead: str
    """What to use with a backbone that has none."""

    def __init__(self, rate: float, layer_decay: float, head_multiplier: float) -> None:
        self.rates = rate, layer_decay, head_multiplier

    @abstractmethod
    def choose(self, backbone: "Backbone") -> set[str]:
        """Return the names of the parameters."""

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return one phase."""
        chosen = frozenset(self.choose(backbone) - backbone.fresh)
        if not chosen:
            raise RecipeError(f"strategy: {self.name} finds no {self.what} in this backbone; use {self.instead}")
        phase = all_layers(self.name, backbone, train, train.epochs, *self.rates)
        return [replace(phase, trains=chosen)]


class BiasOnly(Selected):
    """Train the biases."""

    name, what, instead = "bias_only", "bias", "norm_only, lora or linear_probe"

    def choose(self, backbone: "Backbone") -> set[str]:
        """Return the names of vectors that are called a bias: bias, in_proj_bias, bias_ih_l0, q_bias."""
        own = backbone.named_parameters()
        return {name for name, p in own if p.ndim == 1 and "bias" in name.rpartition(".")[2].split("_")}


class NormOnly(Selected):
    """Train the gains and biases of norms."""

    name, what, instead = "norm_only", "norm with parameters", "bias_only, lora or linear_probe"

    def choose(self, backbone: "Backbone") -> set[str]:
        """Return the names of all parameters that a module owns whose class is called a norm, of whatever library."""
        return {
            f"{path}.{name}" if path else name
            for path, module in backbone.named_modules()
            if "norm" in type(module).__name__.lower()
            for name, _ in module.named_parameters(recurse=False)
        }


def bias_only(*, rate: Multiplier = 10.0, layer_decay: Decay = 1.0, head_multiplier: Multiplier = 1.0) -> Strategy:
    """Train the biases and the head alone (BitFit, arXiv 2106.10199).

    rate: of the last layer, over `train.learning_rate`: so few parameters need a larger one than a whole network (in
    the authors' example 1e-3 in place of 1e-5). layer_decay: as for `full`. head_multiplier: the head's rate over it.
    """
    return BiasOnly(rate, layer_decay, head_multiplier)


def norm_only(*, rate: Multiplier = 10.0, layer_decay: Decay = 1.0, head_multiplier: Multiplier = 1.0) -> Strategy:
    """Train the gains and biases of norms, and the head, alone (arXiv 2003.00152; of layer norms, arXiv 2211.08682).

    Batch norms that are trained take the statistics of the new data, too. Options as for `bias_only`.
    """
    return NormOnly(rate, layer_decay, head_multiplier)
