"""What a strategy's training leaves, as checks: small trainings by the real loop."""

import json
import math
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from inarch.bundle import load
from inarch.data.loaders import seeded
from inarch.errors import listing
from inarch.interfaces.strategy import Trained, Weights
from inarch.testing import practice
from inarch.testing.check import Checks, expect, skip
from inarch.testing.comparing import difference
from inarch.testing.strategy_case import StrategyCase

CHECKS = Checks()


@CHECKS.add("inarch.Phase.layer_rates")
def what_is_frozen_stays(case: StrategyCase) -> None:
    """In a training by the real loop what no phase trains keeps its bits: parameters, and the statistics of norms."""
    found = case.trained
    for name in sorted(found.frozen):
        same = torch.equal(found.before[f"backbone.{name}"], found.after[f"backbone.{name}"])
        expect(same, f"'{name}' is frozen in every phase, and was changed")


@CHECKS.add("inarch.Phase.trains")
def what_is_trained_changes(case: StrategyCase) -> None:
    """In a training by the real loop every parameter that some phase trains changes, and the head's do."""
    found = case.trained
    stood = [name for name in sorted(found.trains)
             if torch.equal(found.before[f"backbone.{name}"], found.after[f"backbone.{name}"])]  # fmt: skip
    expect(not stood, f"declared to be trained, and as before: {listing(stood, 5)}")
    head = [name for name in found.before if name.startswith("head.")]
    expect(any(not torch.equal(found.before[n], found.after[n]) for n in head), "the head was not trained")


@CHECKS.add("inarch.Strategy")
def training_can_be_repeated(case: StrategyCase) -> None:
    """Two trainings with one seed end with the same bits."""
    first, second = case.trained, case.train("again")
    found = difference(dict(first.after), dict(second.after), exact=True)
    expect(not found, f"the weights of two trainings: {found}")
    pair = [json.loads((one.run / "model" / "bundle.json").read_text(encoding="utf-8")) for one in (first, second)]
    expect(pair[0]["weights_sha256"] == pair[1]["weights_sha256"], "the bundles of two trainings have other weights")


@CHECKS.add("inarch.load")
def the_bundle_answers_as_the_run(case: StrategyCase) -> None:
    """The bundle that a training leaves can be opened, and answers as the training did when it was measured."""
    found = case.trained
    lines = (found.run / "predictions" / f"{found.results['split']}.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    with practice.registered():
        answers = load(found.run).predict([line["input"] for line in told])
    for line, answer in zip(told, answers, strict=True):
        known = {name: line[name] for name in answer}
        wrong = difference(known, answer)
        expect(not wrong, f"of {line['input']!r}: {wrong}")


@CHECKS.add("inarch.Strategy")
def it_learns(case: StrategyCase) -> None:
    """A few epochs on classes that a line parts make the loss fall below that of a guess."""
    loss = case.learnt()
    guess = math.log(2)
    expect(
        loss < 0.9 * guess, f"the loss on examples that it did not see is {loss:.3f}; that of a guess is {guess:.3f}"
    )


@CHECKS.add("inarch.Strategy.lesson")
def lessons_add_up(case: StrategyCase) -> None:
    """What a lesson changes is a sum over examples: a batch in pieces trains the same model."""
    strategy = case.in_phases()
    if strategy.teacher is None:
        skip("it has no teacher")
    sizes = {"whole": 8, "pieces": 3}
    whole, pieces = (case.train(name, True, epochs=2, micro_batch_size=size) for name, size in sizes.items())
    found = difference(dict(whole.after), dict(pieces.after))
    expect(not found, f"8 examples at once, and 3 at a time: {found}")


@CHECKS.add("inarch.Strategy.combine")
def combining_is_plain(case: StrategyCase) -> None:
    """`combine` returns the same each time, leaves the weights that it reads alone, and its facts are plain data."""
    strategy = case.in_phases()
    if not strategy.combines:
        skip("it combines nothing")
    states = [_drawn(case.backbone(), seed) for seed in range(4)]
    kept = [{name: tensor.clone() for name, tensor in state.items()} for state in states]
    best, probe, other = ([Weights(f"weights {n}", partial(states.__getitem__, n)) for n in numbers]
                          for numbers in ((0, 1), (2,), (3,)))  # fmt: skip
    given = Trained(best, probe, other if strategy.runs else ())
    first, second = (case.built().combine(given, _score) for _ in range(2))
    expect(not difference(kept, states, exact=True), "it changed weights that it was given")
    if first is None or second is None:
        expect(first is second, "once it combined, and once it did not")
        return
    expect(not difference(first[0], second[0], exact=True), "asked again it returns other weights")
    found = difference(
        {name: list(t.shape) for name, t in states[0].items()}, {n: list(t.shape) for n, t in first[0].items()}
    )
    expect(not found, f"the shapes of weights are others: {found}")
    try:
        json.dumps(first[1], allow_nan=False)
    except (TypeError, ValueError) as error:
        expect(False, f"its facts are not plain: {error}")


def _drawn(backbone: practice.Practice, seed: int) -> dict[str, Tensor]:
    with seeded(seed):
        return {name: torch.randn_like(tensor) if tensor.is_floating_point() else tensor.clone()
                for name, tensor in backbone.state_dict().items()}  # fmt: skip


def _score(state: Mapping[str, Tensor]) -> float:
    return -float(sum(tensor.double().square().sum() for tensor in state.values()))
