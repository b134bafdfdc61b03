"""Strategies of one phase: everything, the head alone, adapters, and the control without transfer. No torch."""

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

from inarch.builtin.phases import Decay as Decay
from inarch.builtin.phases import Multiplier as Multiplier
from inarch.builtin.phases import all_layers
from inarch.interfaces.strategy import Phase, Strategy
from inarch.recipe import Train
from inarch.schema import Range

if TYPE_CHECKING:
    from inarch.interfaces.backbone import Backbone


class Full(Strategy):
    """Train all layers, each at its own rate."""

    name = "full"

    def __init__(self, layer_decay: float, head_multiplier: float) -> None:
        self.layer_decay, self.head_multiplier = layer_decay, head_multiplier

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return one phase, in which the last layer has the recipe's rate."""
        return [all_layers(self.name, backbone, train, train.epochs, 1.0, self.layer_decay, self.head_multiplier)]


class LinearProbe(Strategy):
    """Train the head alone, on a frozen backbone."""

    def __init__(self, views: int) -> None:
        self.views, self.fits_head = views, views > 0

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return one phase with every backbone layer frozen; with views it fits the head to stored features."""
        frozen = (None,) * len(backbone.layers())
        return [Phase("linear_probe", train.epochs, frozen, train.learning_rate, views=self.views)]


class Scratch(Full):
    """Train all layers from random weights."""

    name = "scratch"
    random_weights = True


class PullToStart(Full):
    """Train all layers, held back to where they began."""

    name = "l2_sp"

    def __init__(self, alpha: float, layer_decay: float, head_multiplier: float) -> None:
        super().__init__(layer_decay, head_multiplier)
        self.alpha = alpha

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return one phase with the pull."""
        [phase] = super().phases(backbone, train)
        return [replace(phase, pull=self.alpha)]


class Lora(Full):
    """Train low-rank adapters and the head."""

    name = "lora"

    def __init__(
        self,
        rank: int,
        alpha: float,
        dropout: float,
        targets: Literal["auto"] | list[str],
        merge: bool,
        layer_decay: float,
        head_multiplier: float,
    ) -> None:
        super().__init__(layer_decay, head_multiplier)
        self.rank, self.alpha, self.dropout, self.targets, self.merges = rank, alpha, dropout, targets, merge

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return one phase that trains the parameters that peft made, known by their names."""
        [phase] = super().phases(backbone, train)
        trains = frozenset(name for layer in backbone.layers() for name in layer if ".lora_" in name)
        return [replace(phase, trains=trains)]

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


def linear_probe(
    *, views: Annotated[int, Range(least=1)] = 1, solver: Literal["features", "steps"] = "features"
) -> Strategy:
    """Train the head alone; the backbone is frozen: parameters, batch-norm statistics and dropout.

    The backbone sees each example once, its features are stored, and the head is fitted to them until it converges:
    L-BFGS on the head's own loss, with a penalty on its weights that cross-validation on train chooses (the protocol of
    CLIP, arXiv 2103.00020, chose it on valid). Of `train`, epochs, rates, and weight_decay then have no say.
    views: of each example: that of evaluation, and others drawn as training draws them, without mixing.
    solver: `features`; or `steps`: an optimizer's, through the frozen backbone, in each epoch another view. Where
    features do not hold what the head reads (tags, spans, pairs, weights of layers that are learnt, a stream), steps
    are taken anyway, and the run says so.
    """
    return LinearProbe(views if solver == "features" else 0)


def scratch(*, layer_decay: Decay = 1.0, head_multiplier: Multiplier = 1.0) -> Strategy:
    """Train all layers from random weights: the control that shows what transfer is worth. Options as for `full`."""
    return Scratch(layer_decay, head_multiplier)


def l2_sp(
    *,
    alpha: Annotated[float, Range(above=0)] = 0.1,
    layer_decay: Decay = 1.0,
    head_multiplier: Multiplier = 1.0,
) -> Strategy:
    """Fine-tune all layers, each parameter pulled to where pretraining left it (L2-SP, arXiv 1802.01483).

    alpha: half of it times the squared distance is added to the mean loss (the loss that is reported is without it), in
    place of the backbone's weight decay; `train.weight_decay`, the paper's beta, is left for the head. 0.01 to 0.1 are
    usual; the fewer the examples, the more it helps. Others as for `full`.
    """
    return PullToStart(alpha, layer_decay, head_multiplier)


def lora(
    *,
    rank: Annotated[int, Range(least=1)] = 8,
    alpha: Annotated[float, Range(above=0)] = 16.0,
    dropout: Annotated[float, Range(least=0, below=1)] = 0.05,
    targets: Literal["auto"] | list[str] = "auto",
    merge: bool = False,
    layer_decay: Decay = 1.0,
    head_multiplier: Multiplier = 1.0,
) -> Strategy:
    """Train small adapters beside frozen layers, and the head (LoRA, arXiv 2106.09685).

    A `train.learning_rate` of 2e-4 to 5e-4 is usual. rank, alpha: an adapter has rank 8 and counts alpha / rank, as the
    paper's RoBERTa large. dropout: on an adapter's input.
    targets: auto is every linear layer, as in QLoRA (arXiv 2305.14314), or, where there are more of them, every
    ungrouped convolution; or a list of names, of their last parts, or of regular expressions, as in peft.
    merge: true adds the adapters to the weights before anything is measured on test, and the bundle is a usual one;
    false makes a small bundle of adapters and head that needs the backbone's weights where they were to be opened.
    layer_decay, head_multiplier: as for `full`.
    """
    if find_spec("peft") is None:
        raise ImportError("No module named 'peft'")
    return Lora(rank, alpha, dropout, targets, merge, layer_decay, head_multiplier)
