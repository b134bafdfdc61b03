"""The contract of a head's answers, as checks; what heads are tried with is in `head_case`."""

import json

import torch
from torch import Tensor

from inarch.model import each
from inarch.testing.check import Checks, expect
from inarch.testing.comparing import copied, difference, drawing_is_seen
from inarch.testing.head_case import HeadCase, members_of, only, rows_of, wider, with_garbage

CHECKS = Checks()


@CHECKS.add("inarch.Head.forward")
def evaluation_draws_nothing(case: HeadCase) -> None:
    """In evaluation a head gives the same bits twice, and leaves the random generators alone: no dropout is on."""
    features = case.features()
    with drawing_is_seen() as drawn:
        first, second = (case.outputs(case.made(), features) for _ in range(2))
        predicted = [case.made().predict(outputs) for outputs in (first, second)]
    expect(not drawn, f"it draws from the generators of {drawn}")
    found = difference(first, second, exact=True) or difference(predicted[0], predicted[1], exact=True)
    expect(not found, f"two passes differ: {found}")


@CHECKS.add("inarch.Head.forward")
def alone_as_in_a_batch(case: HeadCase) -> None:
    """An example has the same answer alone as among others."""
    features = case.features()
    together = case.predictions(case.made(), features)
    for example in range(len(case.raws)):
        mine = rows_of(features, members_of([example], case.members))
        [alone] = case.predictions(case.made(), mine)
        found = difference(together[example], alone)
        expect(not found, f"example {example} of {len(case.raws)}: {found}")


@CHECKS.add("inarch.Features.mask")
def padding_changes_nothing(case: HeadCase) -> None:
    """What is padding (mask False, unit -1) changes no answer and no loss, whatever stands there."""
    case.for_field("tokens")
    features = case.features()
    targets = case.made().encode(case.raws)
    first = case.predictions(case.made(), features), case.losses(case.made(), features, targets)
    for what, padded in (("large numbers in padding", with_garbage(features)), ("more padding", wider(features))):
        told = case.predictions(case.made(), padded), case.losses(case.made(), padded, targets)
        found = difference(first, told)
        expect(not found, f"{what}: {found}")


@CHECKS.add("inarch.Head.needs")
def reads_what_it_needs(case: HeadCase) -> None:
    """`needs` names all that `forward` reads: the other fields of `Features` may be None, or anything."""
    features = case.features()
    allowed = frozenset(features._fields)
    expect(case.made().needs <= allowed, f"`needs` is {sorted(case.made().needs)}; features have {sorted(allowed)}")
    try:
        outputs = case.outputs(case.made(), only(features, case.made().needs))
    except (TypeError, AttributeError, AssertionError) as error:
        expect(False, f"with {sorted(case.made().needs)} alone `forward` fails: {type(error).__name__}: {error}")
    found = difference(outputs, case.outputs(case.made(), features), exact=True)
    expect(not found, f"with the other fields the outputs are others: {found}")


@CHECKS.add("inarch.Head.predict")
def predictions_can_be_read(case: HeadCase) -> None:
    """`predict` returns a dict of plain data for each example: finite numbers, texts, lists."""
    told = case.predictions(case.made())
    expect(len(told) == len(case.raws), f"{len(case.raws)} examples have {len(told)} predictions")
    for one in told:
        expect(isinstance(one, dict) and all(isinstance(key, str) for key in one), f"a prediction is {one!r}")
        try:
            json.dumps(one, allow_nan=False)
        except (TypeError, ValueError) as error:
            expect(False, f"{error}: {str(one)[:200]}")
        if case.targets.kind in ("classes", "labels"):
            numbers = [one.get("score", 0.0), *one.get("scores", {}).values()]
            expect(all(-1e-6 <= n <= 1 + 1e-6 for n in numbers), f"scores are no probabilities: {str(one)[:200]}")


@CHECKS.add("inarch.Head.scores")
def scores_have_a_row_for_each_example(case: HeadCase) -> None:
    """`scores` is None, or finite, first dimension B; of classes a probability for each."""
    scores = case.made().scores(case.outputs(case.made(), case.features()))
    if scores is None:
        return
    expect(len(scores) == len(case.raws), f"{len(case.raws)} examples have scores {tuple(scores.shape)}")
    expect(bool(scores.isfinite().all()), "some are not finite")
    if case.targets.kind in ("classes", "labels"):
        wanted = (len(case.raws), len(case.targets.classes))
        expect(tuple(scores.shape) == wanted, f"they are {tuple(scores.shape)}; wanted: {wanted}")
    if case.targets.kind == "classes":
        off = float((scores.double().sum(-1) - 1).abs().max())
        expect(off < 1e-4, f"those of an example add up to something that is {off:.3g} off 1")


@CHECKS.add("inarch.Head.join")
def joins_windows(case: HeadCase) -> None:
    """`join` makes the outputs of windows those of one input: of one window alone its own."""
    for example in range(min(3, len(case.raws))):
        outputs = case.outputs(case.made(), rows_of(case.features(), members_of([example], case.members)))
        whole = torch.tensor([[float("-inf"), float("inf")]])
        [alone] = case.made().predict(case.made().join(copied(outputs), whole))
        found = difference(case.made().predict(outputs)[0], alone)
        expect(not found, f"the window of one alone changes by being joined: {found}")
        cuts = torch.tensor([[float("-inf"), 8.0], [8.0, 16.0], [16.0, float("inf")]])
        joined = case.made().join(each(outputs, lambda tensor: torch.cat([tensor] * 3)), cuts)
        sizes = {len(tensor) for tensor in ([joined] if isinstance(joined, Tensor) else joined.values())}
        expect(sizes == {1}, f"three windows are joined to {sizes} inputs")
        found = difference(case.made().predict(outputs)[0], case.made().predict(joined)[0])
        expect(not found, f"three windows that say the same are joined to something else: {found}")
