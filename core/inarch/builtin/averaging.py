"""Strategies that average weights, and choose on valid which: along a line (WiSE-FT), or greedily (soups).

No torch is imported: what is done to tensors here, they do themselves. Floating-point buffers, the statistics of batch
norms, are averaged like parameters; others are those of the first.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from inarch.builtin.phases import Decay, Multiplier
from inarch.builtin.strategies import Full
from inarch.builtin.unfreezing import Epochs, ProbeThenTune
from inarch.interfaces.strategy import Strategy, Trained, Weights
from inarch.schema import Address, Range

if TYPE_CHECKING:
    from inarch.interfaces.strategy import State

TENTHS = 10
"""The line is tried at 0, 0.1 ... 1, as in the paper."""


class WiseFt(ProbeThenTune):
    """Fine-tune as LP-FT does, then go back some way towards the probe."""

    name = "wise_ft"

    def combine(self, trained: Trained, score: Callable[["State"], float]) -> tuple["State", dict[str, Any]]:
        """Return the best average of the probe's weights and the best fine-tuned ones; of equal ones nearest to it."""
        start, end = trained.ends[0].read(), trained.best[0].read()
        shares = [tenth / TENTHS for tenth in range(TENTHS + 1)]
        curve = {share: score(between(start, end, share)) for share in shares}
        chosen = max(shares, key=lambda share: curve[share])
        told = f"{chosen:g} of those of {trained.best[0].name} and {1 - chosen:g} of those of the probe"
        facts = {"curve": [{"share": share, "score": found} for share, found in curve.items()], "chosen": chosen,
                 "sentence": f"WiSE-FT: the weights are {told}, the best on valid."}  # fmt: skip
        return between(start, end, chosen), facts


class Soup(Full):
    """Fine-tune all layers, then average the best checkpoints, and bundles of other runs, as long as that helps."""

    name = "soup"

    def __init__(self, members: int, runs: Sequence[str], layer_decay: float, head_multiplier: float) -> None:
        super().__init__(layer_decay, head_multiplier)
        self.keeps, self.runs = members, tuple(runs)

    def combine(self, trained: Trained, score: Callable[["State"], float]) -> tuple["State", dict[str, Any]]:
        """Return the greedy soup: from the best on, each joins if the average is then no worse on valid."""
        scores = {weights: score(weights.read()) for weights in (*trained.best, *trained.runs)}
        ranked = sorted(scores, key=lambda weights: -scores[weights])
        members, best = ranked[:1], scores[ranked[0]]
        tried = [{"weights": ranked[0].name, "alone": best, "with": best, "joins": True}]
        for weights in ranked[1:]:
            found = score(average([*members, weights]))
            joins = found >= best
            tried.append({"weights": weights.name, "alone": scores[weights], "with": found, "joins": joins})
            members, best = ([*members, weights], found) if joins else (members, best)
        names = [weights.name for weights in members]
        told = f"Soup: the mean of {len(members)} of {len(ranked)} sets of weights ({', '.join(names)})."
        facts = {"tried": tried, "members": names, "sentence": told}
        return average(members), facts


def between(start: "State", end: "State", share: float) -> "State":
    """Return the weights that lie so far, 0 to 1, on the line from `start` to `end`; the ends have their own bits."""
    return {
        name: tensor.lerp(end[name], share) if tensor.is_floating_point() else end[name]
        for name, tensor in start.items()
    }


def average(members: Sequence[Weights]) -> "State":
    """Return the mean of weights, summed in float64; of one alone, or of equal ones, it has their bits."""
    states = [weights.read() for weights in members]
    return {
        name: (sum(state[name].double() for state in states[1:]) + tensor.double()).div(len(states)).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }


def wise_ft(
    *,
    rate: Multiplier = 0.1,
    probe_epochs: Epochs = 1,
    still_norms: bool = True,
    layer_decay: Decay = 1.0,
    head_multiplier: Multiplier = 1.0,
) -> Strategy:
    """Fine-tune as `lp_ft`, then average the weights with those of the probe (WiSE-FT, arXiv 2109.01903).

    In what shares, 0, 0.1 ... 1, is chosen on valid; a large rate leaves the line on which averages are good. Options
    as for `lp_ft`.
    """
    return WiseFt(rate, probe_epochs, still_norms, layer_decay, head_multiplier)


def soup(
    *,
    members: Annotated[int, Range(least=1)] = 3,
    runs: Sequence[Annotated[str, Address()]] = (),
    layer_decay: Decay = 1.0,
    head_multiplier: Multiplier = 1.0,
) -> Strategy:
    """Fine-tune all layers, and average the best checkpoints, greedily, on valid (model soups, arXiv 2203.05482).

    members: how many of the best checkpoints of the run are tried (3 in AutoGluon). runs: directories of other runs of
    the same backbone, head, classes, valid and test, whose bundles are tried too. Others as for `full`.
    """
    return Soup(members, runs, layer_decay, head_multiplier)
