"""Checks of how a backbone makes examples of raw inputs, and batches of examples."""

import pickle
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from inarch.errors import listing
from inarch.interfaces.backbone import Backbone, Example
from inarch.testing import spawned
from inarch.testing.backbone_case import ODD, BackboneCase, difference, features_of, of_example, shape
from inarch.testing.check import Checks, expect, skip
from inarch.testing.comparing import drawing_is_seen
from inarch.testing.seeds import seed_all
from inarch.testing.surroundings import LIMIT_OF_ODD

CHECKS = Checks()


def examples_of(case: BackboneCase, backbone: Backbone, training: bool, seed: int = 0) -> list[Example]:
    """Return the trial's inputs through the transform, one by one, each with the generators seeded."""
    transform, examples = backbone.transform(training), []
    for raw in case.seen(backbone, training):
        seed_all(seed)
        examples.append(transform(raw))
    return examples


def expect_same(one: Sequence[Example], other: Sequence[Example], what: str) -> None:
    """End the check if examples differ by a bit."""
    for number, (first, second) in enumerate(zip(one, other, strict=True), 1):
        found = difference(first, second, tolerance=0)
        expect(not found, f"input {number}, {what}: {found}")


@CHECKS.add("inarch.Backbone.transform")
def examples_are_tensors_by_name(case: BackboneCase) -> None:
    """An example is a dict of tensors on the CPU, of the same names for every input, in training as in evaluation."""
    backbone = case.build()
    case.examples(backbone)  # `prepare` settles options
    names: dict[bool, set[str]] = {}
    for training in (False, True):
        for example in examples_of(case, backbone, training):
            expect(isinstance(example, dict), f"the transform returned a {type(example).__name__}")
            for name, tensor in example.items():
                expect(isinstance(tensor, Tensor), f"{name} is a {type(tensor).__name__}")
                expect(tensor.device.type == "cpu" and not tensor.requires_grad, f"{name} is on {tensor.device}")
            names.setdefault(training, set(example))
            expect(names[training] == set(example), f"inputs give {sorted(names[training])} and {sorted(example)}")
    lost = names[False] - names[True]
    expect(not lost, f"training lacks {listing(sorted(lost))}, which evaluation has")


@CHECKS.add("inarch.Backbone.transform")
def works_in_a_process_started_anew(case: BackboneCase) -> None:
    """The transform is picklable, and makes the same bits in a process that was spawned."""
    backbone = case.build()
    case.examples(backbone)
    for training in (False, True):
        transform = spawned.pickled(backbone.transform(training))
        try:
            there = pickle.loads(spawned.call(spawned.transformed, transform, case.seen(backbone, training), 3))
        except spawned.Gone as gone:
            expect(False, str(gone))
        here = examples_of(case, backbone, training, seed=3)
        expect_same(here, there, f"here and in a spawned process, with training={training}")


@CHECKS.add("inarch.Backbone.transform")
def evaluation_draws_nothing(case: BackboneCase) -> None:
    """`transform(False)` makes the same bits every time, and draws from no generator."""
    backbone = case.build()
    case.examples(backbone)
    with drawing_is_seen() as drawn:
        transform = backbone.transform(False)
        first = [transform(raw) for raw in case.seen(backbone, False)]
    expect(not drawn, f"it drew from the generators of {listing(drawn)}")
    expect_same(first, examples_of(case, backbone, False, seed=5), "twice")


@CHECKS.add("inarch.Backbone.transform")
def training_is_a_function_of_the_seeds(case: BackboneCase) -> None:
    """`transform(True)` draws from the global generators alone: the same seeds make the same bits, in any order."""
    backbone = case.build()
    case.examples(backbone)
    forth = examples_of(case, backbone, True, seed=7)
    transform, back = backbone.transform(True), []
    for raw in reversed(case.trial.inputs):
        seed_all(7)
        back.append(transform(raw))
    expect_same(forth, back[::-1], "with the same seeds, after other inputs")


@CHECKS.add("inarch.Backbone.transform")
def training_varies_with_the_seeds(case: BackboneCase) -> None:
    """Where training shows an input otherwise than evaluation does, other seeds, of another epoch, show it anew."""
    backbone = case.build()
    case.examples(backbone)
    plain = [raw for raw in case.trial.inputs if not backbone.windows(raw)]
    shown = [[pickle.dumps(_bits(backbone, raw, training, seed)) for raw in plain]
             for training, seed in ((False, 1), (True, 1), (True, 2))]  # fmt: skip
    if shown[0] == shown[1]:
        skip("training shows inputs as evaluation does")
    expect(shown[1] != shown[2], "every input is varied, and in the same way with every seed")


def _bits(backbone: Backbone, raw: Any, training: bool, seed: int) -> dict[str, Any]:
    seed_all(seed)
    return {name: tensor.tolist() for name, tensor in backbone.transform(training)(raw).items()}


@CHECKS.add("inarch.Backbone.transform")
def leaves_its_input_as_it_was(case: BackboneCase) -> None:
    """Neither transform changes the raw input that it is given."""
    backbone = case.build()
    for training in (False, True):
        transform = backbone.transform(training)
        for number, raw in enumerate(case.seen(backbone, training), 1):
            before = pickle.dumps(raw)
            transform(raw)
            expect(pickle.dumps(raw) == before, f"input {number} was changed, with training={training}")


@CHECKS.add("inarch.Backbone.transform")
def odd_inputs_are_refused(case: BackboneCase) -> None:
    """What cannot be read raises ValueError or OSError with the reason, and neither crashes nor hangs the process."""
    odd: list[tuple[Any, bool]] = [(raw, False) for raw in ODD]
    odd += [(raw, True) for raw in case.trial.refused]
    for training in (False, True):
        transform = spawned.pickled(case.build().transform(training))
        for raw, must in odd:
            told = f"of {str(raw)[:60]!r}, with training={training},"
            try:
                answer = spawned.call(spawned.refusal, transform, raw, seconds=LIMIT_OF_ODD)
            except spawned.Gone as gone:
                expect(False, f"{told} the transform did not come back: {gone}")
            if answer is None:
                expect(not must, f"{told} the transform made an example, and the trial says it is refused")
            else:
                reason, refused = answer
                expect(refused, f"{told} the transform raised {reason}")
                expect(reason.split(": ", 1)[1].strip(), f"{told} the transform gave no reason")


@CHECKS.add("inarch.Backbone.collate")
def collate_makes_a_row_of_each_example(case: BackboneCase) -> None:
    """`collate` returns tensors whose first dimension is the batch, and leaves the examples as they were."""
    backbone = case.build().eval()
    case.examples(backbone)
    for training in (False, True):
        examples = examples_of(case, backbone, training)
        before = [{name: tensor.clone() for name, tensor in example.items()} for example in examples]
        batch = backbone.collate(examples)
        expect_same(before, examples, "before and after `collate`")
        for name, tensor in batch.items():
            expect(isinstance(tensor, Tensor), f"{name} is a {type(tensor).__name__}")
            expect(tensor.ndim and len(tensor) == len(examples), f"{name} is {shape(tensor)} of {len(examples)}")
        with torch.no_grad():
            backbone(**batch)


@CHECKS.add("inarch.Backbone.collate")
def rows_of_a_batch_are_a_batch(case: BackboneCase) -> None:
    """A batch may be cut into rows, as for memory's sake: their features are those that they have in the whole."""
    backbone, examples = case.ready()
    batch, half = backbone.collate(examples), (len(examples) + 1) // 2
    whole = features_of(backbone, examples)
    with torch.no_grad():
        part = backbone(**{name: tensor[:half] for name, tensor in batch.items()})
    for index in range(half):
        found = difference(of_example(whole, index), of_example(part, index))
        expect(not found, f"example {index + 1} of {len(examples)}, and of the first {half} rows of the batch: {found}")


@CHECKS.add("inarch.Backbone.length")
def lengths_are_known(case: BackboneCase) -> None:
    """`length` is a whole number from 1, and `measure` says it beforehand or says None."""
    backbone = case.build()
    examples = case.examples(backbone)
    for example in examples:
        found = backbone.length(example)
        expect(type(found) is int and found >= 1, f"the length of an example is {found!r}")
    for number, raw in enumerate(case.trial.inputs, 1):
        measured = backbone.measure(raw)
        if measured is None:
            continue
        windows, transform = backbone.windows(raw), backbone.transform(False)
        true = max(map(backbone.length, map(transform, windows or [raw])))
        expect(measured == true, f"input {number} is measured as {measured!r}, its example has a length of {true}")


@CHECKS.add("inarch.Backbone.prepare")
def prepared_as_transformed(case: BackboneCase) -> None:
    """What `prepare` makes of inputs together equals what `transform(False)` makes of each."""
    backbone = case.build()
    prepared = backbone.prepare(list(case.trial.inputs))
    if prepared is None:
        skip("it prepares nothing")
    expect(len(prepared) == len(case.trial.inputs), f"{len(prepared)} examples of {len(case.trial.inputs)} inputs")
    made = [prepared[index] for index in range(len(prepared))]
    expect_same(made, examples_of(case, backbone, False), "prepared and transformed")


@CHECKS.add("inarch.Backbone.windows")
def windows_cover_the_input(case: BackboneCase) -> None:
    """The windows of a long input come in order and leave no gap, and the transform takes each like an input."""
    backbone = case.build()
    transform = backbone.transform(False)
    cut = {number: found for number, raw in enumerate(case.trial.inputs, 1) if (found := backbone.windows(raw))}
    if not cut:
        skip("none of the trial's inputs has windows")
    for number, windows in cut.items():
        for window, following in zip(windows, [*windows[1:], None], strict=True):
            expect(window.start < window.end, f"input {number}: a window from {window.start} to {window.end}")
            if following is not None:
                ordered = window.start < following.start <= window.end < following.end
                told = f"from {window.start} to {window.end}, then from {following.start} to {following.end}"
                expect(ordered, f"input {number}: a gap, or no order: {told}")
            expect(backbone.length(transform(window)) >= 1, f"input {number}: a window without an example")


@CHECKS.add("inarch.Backbone.transform")
def mixed_examples_fit_their_kind(case: BackboneCase) -> None:
    """`mix` returns an example with tensors like the first one's and how much of it is left, and changes neither."""
    backbone = case.build()
    transform: Any = backbone.transform(True)
    if not hasattr(transform, "mix"):
        skip("its training mixes no examples")
    one, other = examples_of(case, backbone, True)[:2]
    before = [{name: tensor.clone() for name, tensor in example.items()} for example in (one, other)]
    answers = []
    for _ in range(2):
        seed_all(11)
        answers.append(transform.mix(one, other))
    (mixed, share), (again, _) = answers
    expect_same(before, [one, other], "before and after `mix`")
    expect_same([mixed], [again], "mixed twice with the same seeds")
    expect(0 <= share <= 1, f"the share of the first example is {share!r}")
    expect(mixed.keys() == one.keys(), f"mixed, it has {sorted(mixed)}, the example {sorted(one)}")
    for name in one:
        expect(
            mixed[name].shape == one[name].shape, f"{name} is {shape(mixed[name])}, of the example {shape(one[name])}"
        )
        expect(mixed[name].dtype == one[name].dtype, f"{name} is {mixed[name].dtype}, of the example {one[name].dtype}")
