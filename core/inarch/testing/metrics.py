"""The contract of metrics, as checks; what they are tried with is in `metric_case`."""

import math
import pickle
from inspect import signature

import numpy as np
import torch
from torch import Tensor

from inarch import intervals
from inarch.data.loaders import seeded
from inarch.testing.check import Checks, expect
from inarch.testing.comparing import copied, difference, drawing_is_seen
from inarch.testing.metric_case import Answered, MetricCase, computed, merged, rows_of

CHECKS = Checks()


@CHECKS.add("inarch.hookspecs.register_metrics")
def verify_accepts_what_is_measured(case: MetricCase) -> None:
    """`verify` accepts targets of the `kinds` that the metric is registered for."""
    verify = case.entry.facts["verify"]
    for answered in case.answered if verify else ():
        try:
            verify(answered.targets, case.options)
        except ValueError as error:
            expect(False, f"it refuses {answered.targets.kind}: {error}")


@CHECKS.add("inarch.hookspecs.register_metrics")
def value_is_one_number(case: MetricCase) -> None:
    """`compute` gives one number, finite where examples of all classes are measured."""
    for answered in case.answered:
        found = case.updated(answered, answered.wrong[0], [range(answered.size)]).compute()
        expect(isinstance(found, Tensor | float | int), f"it gives a {type(found).__name__}")
        expect(torch.as_tensor(found).numel() == 1, f"it gives {torch.as_tensor(found).numel()} numbers")
        expect(math.isfinite(float(found)), f"of {answered.size} examples it gives {float(found)}")


@CHECKS.add("inarch.hookspecs.register_metrics")
def right_answers_are_best(case: MetricCase) -> None:
    """No answers are better than the right ones, and wrong ones are worse, as `larger_is_better` has it."""
    larger = case.entry.facts["larger_is_better"]
    sign = 1 if larger else -1
    for answered in case.answered:
        best = case.value(answered, answered.right)
        found = [case.value(answered, wrong) for wrong in answered.wrong]
        told = f"larger_is_better is {larger}; the right answers have {best:g}, wrong ones "
        expect(sign * best >= max(sign * value for value in found) - 1e-6, f"{told}{[round(v, 4) for v in found]}")
        expect(sign * best > sign * sum(found) / len(found) + 1e-6, f"{told}have no worse a mean")


@CHECKS.add("inarch.evaluation")
def batches_add_up(case: MetricCase) -> None:
    """Seen in batches, examples have the value that they have at once."""
    for answered in case.answered:
        for size in (1, 3):
            parts = [range(start, min(start + size, answered.size)) for start in range(0, answered.size, size)]
            _agree(case, answered, computed(case.updated(answered, answered.wrong[0], parts)), f"{size} at a time")


@CHECKS.add("inarch.evaluation")
def shards_add_up(case: MetricCase) -> None:
    """States of two or three processes, merged in any order, have the value of one: each says how it is reduced."""
    for answered in case.answered:
        for count in (2, 3):
            cuts = np.array_split(np.arange(answered.size), count)
            shards = [case.updated(answered, answered.wrong[0], [cut.tolist()]) for cut in cuts]
            for what, order in ((f"{count} shards", shards), (f"{count} shards the other way round", shards[::-1])):
                _agree(case, answered, merged(order), what)


@CHECKS.add("inarch.evaluation")
def order_does_not_matter(case: MetricCase) -> None:
    """Examples have the same value in any order."""
    for answered in case.answered:
        order = torch.randperm(answered.size, generator=torch.Generator().manual_seed(0)).tolist()
        _agree(case, answered, case.value(answered, answered.wrong[0], order), "in another order")


@CHECKS.add("inarch.evaluation")
def reset_forgets(case: MetricCase) -> None:
    """After `reset` a metric is as new: it is used for one split after the other."""
    for answered in case.answered:
        everything = range(answered.size)
        metric = case.updated(answered, answered.right, [everything])
        computed(metric)
        metric.reset()
        metric.update(*answered.some(answered.wrong[0], everything))
        _agree(case, answered, computed(metric), "after others and `reset`")


@CHECKS.add("inarch.evaluation")
def computing_changes_nothing(case: MetricCase) -> None:
    """`compute` gives the same again, and after it more examples can be added."""
    for answered in case.answered:
        half, rest = range(answered.size // 2), range(answered.size // 2, answered.size)
        metric = case.updated(answered, answered.wrong[0], [half])
        first = computed(metric)
        metric._computed = None  # what torchmetrics remembers, so that it really computes again
        expect(not difference(first, computed(metric)), f"the first time {first}, then {computed(metric)}")
        metric.update(*answered.some(answered.wrong[0], rest))
        _agree(case, answered, computed(metric), "computed half-way, and then at the end")


@CHECKS.add("inarch.evaluation")
def few_examples_are_measured(case: MetricCase) -> None:
    """One example, or examples of one class, have a value, which may be NaN; they are no crash."""
    for answered in case.answered:
        alike = [row for row in range(answered.size) if same(answered, row)]
        for rows in ([0], alike, [0, 0]):
            for answers in (answered.right, answered.wrong[0]):
                try:
                    case.value(answered, answers, rows)
                except Exception as error:
                    expect(False, f"of {len(rows)} examples with equal truths: {type(error).__name__}: {error}")


@CHECKS.add("inarch.evaluation")
def arguments_stay_as_they_are(case: MetricCase) -> None:
    """Answers and truths are not changed in place: other metrics read them too."""
    for answered in case.answered:
        given = [answered.wrong[0], answered.truths]
        before = pickle.loads(pickle.dumps(copied(given)))
        computed(case.updated(answered, answered.wrong[0], [range(answered.size)]))
        metric = case.built(answered)
        metric.update(*given)
        computed(metric)
        found = difference(before, given, exact=True)
        expect(not found, f"answers [0] or truths [1] were changed: {found}")


@CHECKS.add("inarch.evaluation")
def nothing_is_drawn(case: MetricCase) -> None:
    """A metric gives the same bits whatever the random generators are at, and leaves them alone."""
    for answered in case.answered:
        found = []
        for seed in (1, 2):
            with seeded(seed), drawing_is_seen() as drawn:
                found.append(case.value(answered, answered.wrong[0]))
            expect(not drawn, f"it draws from the generators of {drawn}")
        one, other = found
        expect(not difference(one, other, exact=True), f"with other seeds it is {one}, and then {other}")


@CHECKS.add("inarch.evaluation")
def can_be_pickled(case: MetricCase) -> None:
    """A metric can be pickled, with what it has seen."""
    for answered in case.answered:
        metric = case.updated(answered, answered.wrong[0], [range(answered.size)])
        try:
            again = pickle.loads(pickle.dumps(metric))
        except Exception as error:
            expect(False, f"{type(error).__name__}: {error}")
        _agree(case, answered, computed(again), "of a pickled copy")


@CHECKS.add("inarch.hookspecs.register_metrics")
def resampling_agrees(case: MetricCase) -> None:
    """A draw of all examples once has the metric's value; one of some of them twice that of such examples."""
    for answered in case.answered:
        metric = case.built(answered)
        draws = [np.arange(answered.size), np.arange(answered.size).repeat(2)[::3]]
        if hasattr(metric, "resampled"):
            wanted = list(signature(metric.resampled).parameters)  # type: ignore[arg-type]
            expect(len(wanted) == 3, f"`resampled` has {wanted}; wanted: scores, targets, draws")
            draws = draws[:1]  # copies of one example are not compared
        found = intervals.resampled(metric, answered.wrong[0], answered.truths, draws)
        expect(len(found) == len(draws), f"{len(draws)} draws have {len(found)} values")
        for draw, value in zip(draws, found, strict=True):
            _agree(case, answered, value, f"drawn {draw[:6].tolist()}...", draw.tolist())


def same(answered: Answered, row: int) -> bool:
    """Say whether an example has the truth of the first one."""
    first, this = (rows_of(answered.truths, [place]) for place in (0, row))
    return not difference(first, this, exact=True)


def _agree(case: MetricCase, answered: Answered, found: float, what: str, rows: list[int] | None = None) -> None:
    """End the check unless a value is that of the examples at once."""
    wanted = case.value(answered, answered.wrong[0], rows)
    expect(not difference(wanted, found), f"of {answered.targets.kind} it is {wanted:g} at once, and {found:g} {what}")
