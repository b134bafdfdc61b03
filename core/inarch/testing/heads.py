"""The contract of heads, as checks; what they are tried with is in `head_cases`."""

import pickle
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from inarch.data.loaders import seeded
from inarch.errors import InarchError, PluginError, listing
from inarch.interfaces.head import Head
from inarch.testing.check import Checks, expect, skip
from inarch.testing.comparing import copied, difference, drawing_is_seen
from inarch.testing.head_case import CLASSES, HeadCase, each_of, members_of, rows_of

CHECKS = Checks()
MANY = (2, 3, 10, 1000)


@CHECKS.add("inarch.hookspecs.register_heads")
def read_refuses_with_a_reason(case: HeadCase) -> None:
    """What `read` cannot use it refuses by an InarchError; what it reads, `encode` encodes."""
    strange: Sequence[Any] = (None, float("nan"), b"\x00", {}, object(), [[]], "")
    for value in strange:
        raws = [value, *case.raws[1:]]
        try:
            case.made(case.read(raws)).encode(raws)
        except Exception as error:
            meant = isinstance(error, InarchError | ValueError) and not isinstance(error, PluginError)
            expect(meant, f"with a target {value!r} it is {type(error).__name__}: {error}")


@CHECKS.add("inarch.Targets.details")
def targets_are_plain_data(case: HeadCase) -> None:
    """Targets that were written as JSON build the same head, for that is how a bundle opens it."""
    again = case.made(case.reopened())
    found = difference(case.predictions(case.made()), case.predictions(again))
    expect(not found, f"predictions differ: {found}")
    expect(torch.equal(case.made().encode(case.raws), again.encode(case.raws)), "`encode` makes other numbers")


@CHECKS.add("inarch.Head.encode")
def encode_is_the_same_anywhere(case: HeadCase) -> None:
    """`encode` gives equal tensors with B rows whenever it is called, in training and evaluation, in any process."""
    first = case.made().encode(case.raws)
    expect(isinstance(first, Tensor) and len(first) == len(case.raws), f"{len(case.raws)} targets became {first!r}")
    with seeded(7), drawing_is_seen() as drawn:
        again = case.made().train().encode(list(case.raws))
        copy = pickle.loads(pickle.dumps(case.made())).encode(tuple(case.raws))
    expect(not drawn, f"it draws from the generators of {drawn}")
    for what, other in (("in training", again), ("of a pickled copy", copy)):
        expect(torch.equal(first, other), f"{what} the numbers are others: {difference(first, other)}")


@CHECKS.add("inarch.Targets.classes")
def outputs_number_classes_in_order(case: HeadCase) -> None:
    """Classes have the data set's order, else they are sorted, in `Targets`, `encode`, scores and predictions."""
    case.for_kinds("classes")
    order = CLASSES[::-1]
    raws = [name for name in CLASSES for _ in range(3)]
    alone = case.read(raws[::-1]).classes
    expect(alone == CLASSES, f"where the data set says none, classes are not sorted: {listing(alone)}")
    targets = case.read(raws, order)
    expect(targets.classes == order, f"the data set says {order}, `read` says {targets.classes}")
    head = case.made(targets, raws=raws)
    numbers = head.encode(order).tolist()
    expect(numbers == list(range(len(order))), f"`encode` numbers the classes {order} as {numbers}")
    outputs = case.outputs(head, case.features(raws))
    scores = head.scores(outputs)
    for row, told in enumerate(head.predict(outputs)):
        if scores is None or scores.shape != (len(raws), len(order)):
            break
        best = order[int(scores[row].argmax())]
        expect(told.get("class") == best, f"the scores are best for {best}, the prediction is {told.get('class')}")
        named = {name: float(score) for name, score in zip(order, scores[row], strict=True)}
        found = difference(told.get("scores", named), named)
        expect(not found, f"scores of classes are not those of `scores`: {found}")


@CHECKS.add("inarch.Head.loss")
def loss_is_a_sum(case: HeadCase) -> None:
    """`loss` returns (sum, count), never a mean: over any cut into micro-batches they add up to the same."""
    head, features, targets, members = case.lesson()
    whole = case.losses(head, features, targets)
    for size in (1, 5):
        parts = [range(start, min(start + size, len(targets))) for start in range(0, len(targets), size)]
        found = [case.losses(head, rows_of(features, members_of(p, members)), targets[list(p)]) for p in parts]
        added = tuple(map(sum, zip(*found, strict=True)))
        told = difference(whole, added)
        expect(not told, f"{len(targets)} examples at once give {whole}, {size} at a time {added}")


@CHECKS.add("inarch.Head.loss")
def loss_ignores_the_order(case: HeadCase) -> None:
    """`loss` is the same whatever order the examples of a batch have."""
    head, features, targets, members = case.lesson()
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    mixed = rows_of(features, members_of(order.tolist(), members))
    one, other = case.losses(head, features, targets), case.losses(head, mixed, targets[order])
    expect(not difference(one, other), f"{one} became {other}")


@CHECKS.add("inarch.Head.loss")
def loss_is_finite_for_many_classes(case: HeadCase) -> None:
    """`loss` is finite and positive from 2 to 1000 classes, also where outputs are large."""
    case.for_kinds("classes", "labels")
    for size in MANY:
        names = [f"c{number}" for number in range(size)]
        raws = [name if case.targets.kind == "classes" else [name] for name in names * 2]
        head = case.made(case.read(raws), raws=raws)
        shown = case.features(raws[:32])
        for factor in (1.0, 1e3):
            total, count = case.losses(head, each_of(shown, partial(torch.mul, other=factor)), head.encode(raws[:32]))
            told = f"of {size} classes, features times {factor:g}: loss {total}, count {count}"
            expect(0 <= total < float("inf") and 0 < count < float("inf"), told)


@CHECKS.add("inarch.Head.loss")
def gradient_reaches_every_parameter(case: HeadCase) -> None:
    """The loss has a finite gradient for every parameter, and for the features that the head needs."""
    if not case.trained:
        skip("steps do not train it")
    head, features, targets, _ = case.lesson()
    needed = {name: tensor for name in ("pooled", "tokens") if name in head.needs
              and (tensor := getattr(features, name)) is not None}  # fmt: skip
    features = features._replace(**{name: tensor.requires_grad_() for name, tensor in needed.items()})
    loss, _ = head.loss(head(features), targets)
    expect(loss.requires_grad, "it has no gradient at all")
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in [*head.named_parameters(), *needed.items()]:
        if parameter.requires_grad:
            expect(parameter.grad is not None, f"'{name}' has no gradient")
            expect(bool(parameter.grad.isfinite().all()), f"the gradient of '{name}' is not finite")


@CHECKS.add("inarch.Head.loss")
def loss_falls(case: HeadCase) -> None:
    """Steps on a few examples make their loss fall; a head that is fitted answers those that it was fitted to."""
    if not case.trained:
        told = [one.get("class") for one in case.made().predict(case.outputs(case.made(), case.features()))]
        expect(told == [str(raw) for raw in case.raws], f"of {list(case.raws)} it predicts {told}")
        return
    head, features, targets, _ = case.lesson()
    if not list(head.parameters()):
        skip("it has no parameters")
    before = case.losses(head, features, targets)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(40):
        loss, count = head.loss(head(features), targets)
        optimizer.zero_grad()
        (loss / count).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = case.losses(head, features, targets)
    first, last = before[0] / before[1], after[0] / after[1]
    expect(last < 0.95 * first, f"40 steps of Adam took the mean loss from {first:.4g} to {last:.4g}")


@CHECKS.add("inarch.Head")
def arguments_stay_as_they_are(case: HeadCase) -> None:
    """Features, outputs and targets are not changed in place: they are read again."""
    head, features, targets, _ = case.lesson()
    given = copied([*features, targets])
    outputs = head(features)
    made = copied(outputs)
    head.loss(outputs, targets)
    case.predictions(case.made(), case.features())
    found = difference(given, [*features, targets], exact=True)
    expect(not found, f"features or targets were changed: {found}")
    found = difference(made, outputs, exact=True)
    expect(not found, f"`loss` changed the outputs: {found}")
    outputs = case.outputs(case.made(), case.features())
    made = copied(outputs)
    case.made().scores(outputs), case.made().predict(outputs)
    found = difference(made, outputs, exact=True)
    expect(not found, f"`scores` or `predict` changed the outputs: {found}")


@CHECKS.add("inarch.Head.fit")
def state_holds_all(case: HeadCase) -> None:
    """A head built anew, with the saved state, has the same bits: nothing that is learnt lives outside of it."""
    head = case.trained_a_little()
    again = case.opened()
    try:
        again.load_state_dict({name: tensor.clone() for name, tensor in head.state_dict().items()})
    except RuntimeError as error:
        expect(False, str(error))
    head.eval(), again.eval()
    features = case.features(seed=2)
    found = difference(case.predictions(head, features), case.predictions(again, features), exact=True)
    expect(not found, f"predictions differ: {found}")


@CHECKS.add("inarch.Head.fit")
def works_in_double_precision(case: HeadCase) -> None:
    """The head works in float64: it is fitted to stored features in that."""
    case.for_field("pooled")
    head = case.made().double()
    features = case.features()
    double = each_of(features, Tensor.double)
    targets = head.encode(case.raws)
    found = difference(case.losses(case.made(), features, targets), case.losses(head, double, targets))
    expect(not found, f"the loss is another: {found}")


@CHECKS.add("inarch.Head.mix")
def mixed_targets_have_their_ends(case: HeadCase) -> None:
    """`mix` blends targets: all of the first is the first's loss, none of it the partner's."""
    if type(case.made()).mix is Head.mix:
        skip("it has no `mix`")
    head, features, targets, _ = case.lesson()
    partners = targets.roll(1, 0)
    for share, wanted in ((1.0, targets), (0.0, partners)):
        mixed = head.mix(targets, partners, torch.full((len(targets),), share))
        found = difference(case.losses(head, features, wanted), case.losses(head, features, mixed))
        expect(not found, f"with a share of {share:g}: {found}")
    total, count = case.losses(head, features, head.mix(targets, partners, torch.full((len(targets),), 0.3)))
    expect(total == total and count > 0, f"with a share of 0.3 the loss is {total}, the count {count}")


@CHECKS.add("inarch.Head.partners")
def partners_are_rows_of_train(case: HeadCase) -> None:
    """`partners` is None, or a picklable function to another row, drawn from the seeded global generators alone."""
    draw = case.made().partners(case.raws)
    if draw is None:
        skip("it wants no partners")
    draw = pickle.loads(pickle.dumps(draw))
    found = []
    for seed in (0, 0, 1):
        with seeded(seed):
            found.append([draw(row) for row in range(len(case.raws))])
    expect(found[0] == found[1], "two draws of one seed differ")
    expect(found[0] != found[2], "draws of two seeds are the same: they do not come from the global generators")
    for row, beside in enumerate(found[0]):
        expect(0 <= beside < len(case.raws) and beside != row, f"the partner of row {row} is {beside}")
