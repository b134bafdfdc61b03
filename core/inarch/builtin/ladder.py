"""The ladder: from the cheapest way to transfer to the dearest, as far as it pays. Imports no torch."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from inarch.builtin.phases import Decay, Multiplier
from inarch.errors import RecipeError
from inarch.interfaces.strategy import Ladder, Phase, Rung, Strategy
from inarch.recipe import Train
from inarch.schema import Range

if TYPE_CHECKING:
    from inarch.interfaces.backbone import Backbone

Name = Literal["knn", "linear_probe", "lp_ft", "lora", "full"]
Rate = Annotated[float, Range(above=0)]
NAMES: list[Name] = ["knn", "linear_probe", "lp_ft", "lora", "full"]
SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(s|sec|min|h)\s*")


class Auto(Strategy):
    """Climb a ladder."""

    def __init__(
        self,
        budget: str | float | None,
        rungs: list[Name],
        layer_decay: float,
        head_multiplier: float,
        probed_rate: float,
        adapter_rate: float,
        look_further: bool,
    ) -> None:
        self.seconds = _seconds(budget) if isinstance(budget, str) else None
        self.epochs = None if isinstance(budget, str) else budget
        self.names = [name for name in NAMES if name in rungs]
        self.layer_decay, self.head_multiplier = layer_decay, head_multiplier
        self.probed_rate, self.adapter_rate = probed_rate, adapter_rate
        self.look_further = look_further
        if not self.names:
            raise RecipeError("strategy.rungs: an empty ladder has nothing to choose; leave it out")

    def phases(self, backbone: "Backbone", train: Train) -> list[Phase]:
        """Refuse: the rungs have phases."""
        raise NotImplementedError("a ladder has rungs, and these have phases")

    def ladder(self, train: Train) -> Ladder:
        """Return the rungs; the head of each one that trains by steps has the same rate, that of `full`."""
        head = train.learning_rate * self.head_multiplier
        layered = {"layer_decay": self.layer_decay}
        rungs = {
            "knn": Rung("knn", {"strategy": "linear_probe", "head": "knn"}, frozenset({"classifier"})),
            "linear_probe": Rung("linear_probe", {"strategy": "linear_probe"}),
            "lp_ft": Rung("lp_ft", {
                "strategy": {"name": "lp_ft", "rate": self.probed_rate, **layered}, **_giving_up_early(train),
            }),
            "lora": Rung("lora", {
                "strategy": {"name": "lora", "merge": True, "head_multiplier": head / self.adapter_rate},
                "train.learning_rate": self.adapter_rate,
            }),
            "full": Rung("full", {
                "strategy": {"name": "full", "head_multiplier": self.head_multiplier, **layered},
            }),
        }  # fmt: skip
        return Ladder([rungs[name] for name in self.names], self.seconds, self.epochs, self.look_further)


def auto(
    *,
    budget: str | Annotated[float, Range(above=0)] | None = None,
    rungs: list[Name] = NAMES,
    layer_decay: Decay = 1.0,
    head_multiplier: Multiplier = 1.0,
    probed_rate: Rate = 0.3,
    adapter_rate: Rate = 5e-4,
    look_further: bool = False,
) -> Strategy:
    """Climb from kNN over the linear probe, LP-FT and LoRA to full fine-tuning, as long as valid says that it pays.

    Each rung is a run of its own, in OUT/rungs, measured on valid; the best one's weights become the run's, and they
    alone are measured on test. kNN (of classifiers) and the probe need one pass over the data and are always run. Then
    the ladder is climbed while a paired bootstrap on valid says, at 95 %, that a rung is better than all before it.
    budget: "90s", "10min", "2h", or a number of epochs in which the backbone is trained, over all rungs. A rung that
    will not fit is not begun. None: no limit.
    rungs: which ones there are. LoRA needs peft, and layers that an adapter fits; otherwise it is passed over.
    layer_decay, head_multiplier: of `full`; the decay of `lp_ft` too.
    probed_rate: rate of `lp_ft`'s fine-tuning over `train.learning_rate`; unless the recipe stops early by itself, it
    ends when valid has not improved for a quarter of the epochs, at least two evaluations. adapter_rate: of `lora`.
    look_further: where the bootstrap is undecided, try one rung more: in benchmarks/ladder.py it cost 1.8 times as
    much, and the choice on few examples of valid was no better for it.
    """
    return Auto(budget, rungs, layer_decay, head_multiplier, probed_rate, adapter_rate, look_further)


def _giving_up_early(train: Train) -> dict[str, Any]:
    """Return when fine-tuning after a probe gives up, unless the recipe says so itself.

    Its head has converged when it begins: where a quarter of the epochs do not help, the rest rarely do.
    """
    if train.early_stopping:
        return {}
    return {"train.early_stopping": {"metric": train.best_metric, "patience": max(2, train.epochs // 4)}}


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if not found or not float(found[1]):
        raise RecipeError(
            f"strategy.budget: expected a duration such as 90s, 10min or 2h, or a number of epochs, found '{text}'"
        )
    return float(found[1]) * SECONDS[found[2]]
