"""Strategies that train the head first and the backbone later. Imports no torch."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from inarch.builtin.phases import Decay, Multiplier, all_layers, head_alone
from inarch.errors import RecipeError
from inarch.interfaces.strategy import Phase, Strategy
from inarch.recipe import Train
from inarch.schema import Range

if TYPE_CHECKING:
    from inarch.interfaces.backbone import Backbone

Epochs = Annotated[int, Range(least=1)]


class ProbeThenTune(Strategy):
    """Fit the head to frozen features, then train all layers a little."""

    def __init__(
        self, rate: float, probe_epochs: int, still_norms: bool, layer_decay: float, head_multiplier: float
    ) -> None:
        self.rate, self.probe_epochs, self.still_norms = rate, probe_epochs, still_norms
        self.layer_decay, self.head_multiplier = layer_decay, head_multiplier

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return the phase of the head, and with the epochs that it leaves, at least one, that of all layers."""
        left = max(1, train.epochs - self.probe_epochs)
        rates = self.rate, self.layer_decay, self.head_multiplier
        return [
            head_alone(backbone, train, self.probe_epochs),
            replace(all_layers("fine_tuning", backbone, train, left, *rates), still_norms=self.still_norms),
        ]


class GradualUnfreezing(Strategy):
    """Train the head, then also the last group of layers, then also the one before, and so on."""

    def __init__(self, groups: int, group_decay: float, layer_decay: float, head_multiplier: float) -> None:
        self.groups, self.group_decay = groups, group_decay
        self.layer_decay, self.head_multiplier = layer_decay, head_multiplier

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Return a phase for the head and one for each group; each has an epoch, and the last one those that are left.

        Where there are fewer layers than groups, or too few epochs, there are fewer groups.
        """
        if train.epochs < 2:
            raise RecipeError(
                "strategy: gradual_unfreezing needs an epoch for the head and one for the backbone; "
                f"train.epochs is {train.epochs}, write 2 or more, or strategy: lp_ft"
            )
        depth = len(backbone.layers())
        groups = min(self.groups, depth, train.epochs - 1)
        whole = all_layers("", backbone, train, 1, 1.0, self.layer_decay, self.head_multiplier)
        group_of = [index * groups // depth for index in range(depth)]  # as equal as can be, from input to output
        rates = [
            rate * self.group_decay ** (groups - 1 - group)
            for rate, group in zip(whole.layer_rates, group_of, strict=True)
            if rate is not None
        ]
        found = [head_alone(backbone, train, 1)]
        for frozen in reversed(range(groups)):
            unfrozen = tuple(rate if group >= frozen else None for rate, group in zip(rates, group_of, strict=True))
            name = "all_layers" if frozen == 0 else f"last_{sum(rate is not None for rate in unfrozen)}_layers"
            found.append(replace(whole, name=name, layer_rates=unfrozen))
        return [*found[:-1], replace(found[-1], epochs=train.epochs - groups)]


def lp_ft(
    *,
    rate: Multiplier = 0.1,
    probe_epochs: Epochs = 1,
    still_norms: bool = True,
    layer_decay: Decay = 1.0,
    head_multiplier: Multiplier = 1.0,
) -> Strategy:
    """Fit the head until it converges, then fine-tune all layers at a small rate (LP-FT, arXiv 2202.10054).

    A head that fits already asks little change of the features, so that those of pretraining are kept.
    rate: of the last layer in fine-tuning, over `train.learning_rate`; 0.1 is what TLlib's protocol gives to a
    pretrained network beside a new head. Where the recipe's rate is a small one already (2e-5, for texts), write 1.
    probe_epochs: epochs of the head alone where it cannot be fitted to stored features. The rest of `train.epochs`, at
    least one, is fine-tuning's.
    still_norms: batch norms keep the statistics that the head was fitted to; by those of batches its features change at
    once. layer_decay: as for `full`. head_multiplier: the head's rate over the last layer's.
    """
    return ProbeThenTune(rate, probe_epochs, still_norms, layer_decay, head_multiplier)


def gradual_unfreezing(
    *,
    groups: Annotated[int, Range(least=1)] = 4,
    group_decay: Decay = 1 / 2.6,
    layer_decay: Decay = 1.0,
    head_multiplier: Multiplier = 1.0,
) -> Strategy:
    """Fit the head, then train the last layers too, then ever more of them (ULMFiT, arXiv 1801.06146).

    groups: how many stages follow the head, however deep the backbone. Each has an epoch before the next group, of as
    many layers, is trained as well; all layers together have the rest of `train.epochs`.
    group_decay: a group's rate over the next one's; 1 / 2.6 in the paper. layer_decay: the same between layers.
    head_multiplier: the head's rate over the last layer's, which is `train.learning_rate`.
    """
    return GradualUnfreezing(groups, group_decay, layer_decay, head_multiplier)
