"""The contract of strategies, as checks; what they are tried with is in `strategy_case` and `practice`."""

import math
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import torch

from inarch.errors import InarchError, RecipeError, listing
from inarch.interfaces.strategy import Phase, Strategy
from inarch.model import check_layers
from inarch.recipe import Train
from inarch.schema import parameters
from inarch.testing import practice
from inarch.testing.check import Checks, expect, skip
from inarch.testing.comparing import difference, drawing_is_seen
from inarch.testing.strategy_case import RATE, StrategyCase
from inarch.weights import load_strictly

CHECKS = Checks()
STRANGE = (-1, 0, math.nan, math.inf)


@CHECKS.add("inarch.Phase")
def phases_fit_the_layers(case: StrategyCase) -> None:
    """Each phase has a rate, or None, for each layer of the backbone, however deep it is; rates are positive."""
    strategy = case.in_phases()
    for depth in (1, practice.DEPTH, 7):
        backbone = case.backbone(depth)
        strategy.adapt(backbone)
        try:
            phases = strategy.phases(backbone, Train(epochs=6, learning_rate=RATE))
        except RecipeError:
            expect(depth != practice.DEPTH, "it refuses the kit's backbone")
            continue
        names = {name for name, _ in backbone.named_parameters()}
        expect(phases, f"with {depth} layers it has no phases")
        for phase in phases:
            told = _misfit(phase, len(backbone.layers()), names)
            expect(not told, f"with {depth} layers, phase {getattr(phase, 'name', phase)!r}: {told}")
        called = [phase.name for phase in phases]
        expect(len(set(called)) == len(called), f"two phases are called alike: {listing(called)}")


@CHECKS.add("inarch.Strategy.phases")
def phases_are_the_same_again(case: StrategyCase) -> None:
    """`phases` says the same whenever it is asked, draws nothing, and changes nothing in the backbone."""
    strategy = case.in_phases()
    backbone, train = case.backbone(), Train(epochs=6, learning_rate=RATE)
    strategy.adapt(backbone)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    with drawing_is_seen() as drawn:
        first, second = (strategy.phases(backbone, train) for _ in range(2))
        other = case.built().phases(backbone, train)
    expect(not drawn, f"it draws from the generators of {drawn}")
    expect(list(first) == list(second) == list(other), f"first {first}, then {second}, of another instance {other}")
    found = difference(before, dict(backbone.state_dict()), exact=True)
    expect(not found, f"it changed the backbone: {found}")


@CHECKS.add("inarch.Strategy.phases")
def epochs_add_up(case: StrategyCase) -> None:
    """All phases together have the epochs that the recipe says."""
    strategy = case.in_phases()
    for epochs in (4, 7, 20):
        phases = strategy.phases(case.backbone(), Train(epochs=epochs, learning_rate=RATE))
        found = {phase.name: phase.epochs for phase in phases}
        expect(sum(found.values()) == epochs, f"train.epochs is {epochs}; the phases have {found}")


@CHECKS.add("inarch.hookspecs.register_strategies")
def options_have_limits(case: StrategyCase) -> None:
    """A number that an option cannot be is refused by its annotation or by an InarchError; none makes phases misfit."""
    case.in_phases()
    for name, option in parameters(case.entry.build).items():
        for value in STRANGE if _is_number(option.annotation) else ():
            try:
                strategy = case.built_with(name, value)
                backbone = case.backbone()
                strategy.adapt(backbone)
                phases = strategy.phases(backbone, Train(epochs=6, learning_rate=RATE))
            except (InarchError, ValueError):
                continue
            names = {key for key, _ in backbone.named_parameters()}
            for phase in phases:
                told = _misfit(phase, len(backbone.layers()), names)
                expect(not told, f"{name}: {value} is accepted, and then phase '{phase.name}' has {told}")


@CHECKS.add("inarch.Strategy.adapt")
def adapters_are_in_the_layers(case: StrategyCase) -> None:
    """What `adapt` inserts is named by `layers()`, is trained by some phase, and inserted alike each time."""
    strategy, backbone = case.in_phases(), case.backbone()
    if type(strategy).adapt is Strategy.adapt:
        skip("it inserts nothing")
    own = set(backbone.state_dict())
    strategy.adapt(backbone)
    layers = check_layers(backbone)
    again = case.backbone()
    case.built().adapt(again)
    expect(list(again.state_dict()) == list(backbone.state_dict()), "inserted again, they have other names")
    with_rate: set[str] = set()
    for phase in strategy.phases(backbone, Train(epochs=6, learning_rate=RATE)):
        for rate, layer in zip(phase.layer_rates, layers, strict=True):
            with_rate.update(name for name in layer if rate and (phase.trains is None or name in phase.trains))
    new = {name for name, _ in backbone.named_parameters() if name not in own}
    expect(new, "`adapt` inserts no parameter")
    expect(bool(new & with_rate), f"no phase trains what it inserts: {listing(sorted(new), 3)}")


@CHECKS.add("inarch.Strategy.merge")
def merging_keeps_the_answers(case: StrategyCase) -> None:
    """`merge` changes no answer; where it says that the backbone is plain, its state is that of one never adapted."""
    strategy, backbone = case.in_phases(), case.backbone()
    strategy.adapt(backbone)
    own = set(case.backbone().state_dict())
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name not in own:
                parameter.add_(0.1 * torch.randn_like(parameter))
        vectors = torch.randn(5, practice.SIZE)
        before = backbone.eval()(vectors).pooled
        plain = strategy.merge(backbone)
        after = backbone.eval()(vectors).pooled
    found = difference(before, after)
    expect(not found, f"after it the features are others: {found}")
    if plain:
        told = "it says that the backbone is plain, but its state has "
        expect(set(backbone.state_dict()) == own, f"{told}{listing(sorted(set(backbone.state_dict()) ^ own), 5)}")
        load_strictly(case.backbone(), dict(backbone.state_dict()), "the merged weights")


def _misfit(phase: Any, depth: int, names: set[str]) -> str | None:
    """Say what is wrong with a phase for a backbone of so many layers, with parameters of these names."""
    if not isinstance(phase, Phase):
        return f"a {type(phase).__name__}, not an inarch.Phase"
    rates = [rate for rate in (*phase.layer_rates, phase.head_rate) if rate is not None]
    wrong = [rate for rate in rates if not (0 < rate < math.inf)]
    told = {
        f"{len(phase.layer_rates)} rates for {depth} layers": len(phase.layer_rates) != depth,
        f"rates that are not positive numbers: {listing(wrong)}": bool(wrong),
        f"{phase.epochs!r} epochs": type(phase.epochs) is not int or phase.epochs < 1,
        f"a pull of {phase.pull}": not 0 <= phase.pull < math.inf,
        f"views of the head's features, {phase.views}, while layers are trained": phase.views > 0
        and len(phase.frozen) < depth,
        f"{phase.views} views": phase.views < 0,
        f"names in `trains` that no parameter has: {listing(sorted((phase.trains or set()) - names), 3)}": bool(
            (phase.trains or set()) - names
        ),
    }
    return next((what for what, is_so in told.items() if is_so), None)


def _is_number(annotation: Any) -> bool:
    """Say whether an option may be a number."""
    origin = get_origin(annotation)
    if origin is Annotated or origin in (Union, UnionType):
        parts = get_args(annotation)[:1] if origin is Annotated else get_args(annotation)
        return any(map(_is_number, parts))
    return annotation in (int, float)
