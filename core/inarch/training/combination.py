"""The weights of the bundle: the best on valid, or what a strategy makes of several."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from inarch.interfaces.strategy import Strategy, Trained, Weights
from inarch.training.job import Job
from inarch.training.record import validate
from inarch.training.saving import load_best, read_weights
from inarch.training.state import RunState


def load_chosen(
    job: Job, state: RunState, strategy: Strategy, runs: Sequence[Weights]
) -> tuple[int, dict[str, Any] | None]:
    """Load the weights that go into the bundle; return their step, and the strategy's facts if it combined several.

    runs: the bundles of `Strategy.runs`. All processes choose alike, for all see the same figures on valid. Nothing is
    written: a run that is killed meanwhile combines again.
    """
    step = load_best(job, state)
    if not strategy.combines or not state.kept:
        return step, None
    trained = Trained([_of_step(job, kept) for _, kept in state.kept], [_of_step(job, end) for end in state.ends], runs)
    job.progress.say(f"combining weights on valid, by {job.recipe.train.best_metric}")
    combined = strategy.combine(trained, lambda weights: _score(job, state, weights))
    if combined is None:
        return load_best(job, state), None
    weights, facts = combined
    job.model.load_state_dict(weights)
    if "sentence" in facts:
        job.progress.say(facts["sentence"])
    return state.kept[0][1], {"metric": job.recipe.train.best_metric, **facts}


def _of_step(job: Job, step: int) -> Weights:
    return Weights(f"step {step}", partial(read_weights, job, step))


def _score(job: Job, state: RunState, weights: Mapping[str, Tensor]) -> float:
    """Return the recipe's `best_metric` of weights on valid, turned so that larger is better."""
    name = job.recipe.train.best_metric
    job.model.load_state_dict(weights)
    value = validate(job, job.model, state)[name]
    if math.isnan(value):
        return -math.inf
    return value if job.larger_is_better.get(name, False) else -value
