"""Checks of a backbone's features.

Shapes: B batch, D features, T tokens.
"""

import json
from itertools import pairwise

import torch

from inarch.data.inputs import Inputs
from inarch.interfaces.backbone import Features
from inarch.testing.backbone_case import BackboneCase, difference, features_of, filled, of_example, shape
from inarch.testing.check import Checks, Seen, expect, skip

CHECKS = Checks()


@CHECKS.add("inarch.Backbone.domain")
def domain_is_the_registered_one(case: BackboneCase) -> None:
    """A backbone's domain is a word, the same as the fact `domain` with which it is registered."""
    domain, registered = getattr(case.build(), "domain", None), case.entry.facts["domain"]
    expect(isinstance(domain, str) and domain.strip(), f"the domain is {domain!r}")
    expect(domain == registered, f"the backbone's domain is {domain!r}, the registered one {registered!r}")


@CHECKS.add("inarch.Backbone.provides")
def features_are_what_is_provided(case: BackboneCase) -> None:
    """`forward` returns Features, and fills the fields that `provides` names, no others; `mask` belongs to tokens."""
    backbone, examples = case.ready()
    features = features_of(backbone, examples)
    expect(isinstance(features, Features), f"forward returned {type(features).__name__}")
    found = set(filled(features)) - {"mask", "places"}
    provided = set(backbone.provides) - {"mask", "places"}
    expect(found == provided, f"provides names {sorted(provided)}, forward fills {sorted(found)}")
    expect(found, "it provides nothing")


@CHECKS.add("inarch.Backbone.num_features")
def features_have_the_declared_width(case: BackboneCase) -> None:
    """`pooled` is (B, D) and `tokens` (B, T, D), B the number of examples and D `num_features`."""
    backbone, examples = case.ready()
    features = features_of(backbone, examples)
    size, width = len(examples), backbone.num_features
    if features.pooled is not None:
        expect(features.pooled.shape == (size, width), f"pooled is {shape(features.pooled)} for {size} x {width}")
    if features.tokens is not None:
        found = features.tokens.shape
        expect(len(found) == 3 and (found[0], found[2]) == (size, width), f"tokens are {tuple(found)}, D is {width}")
    for number, one in enumerate(features.maps or ()):
        expect(one.ndim == 4 and len(one) == size, f"maps[{number}] is {shape(one)} for {size} examples")


@CHECKS.add("inarch.Backbone.forward")
def deterministic_in_evaluation(case: BackboneCase) -> None:
    """In evaluation mode the same batch has the same features, bit by bit, whatever was drawn in between."""
    backbone, examples = case.ready()
    torch.manual_seed(1)
    first = features_of(backbone, examples)
    torch.manual_seed(2)
    second = features_of(backbone, examples)
    for index in range(len(examples)):
        found = difference(of_example(first, index), of_example(second, index), tolerance=0)
        expect(not found, f"input {index + 1}, twice: {found}")


@CHECKS.add("inarch.Backbone.collate")
def alone_as_in_a_batch(case: BackboneCase) -> None:
    """An example's features depend on nothing else in its batch: neither on its neighbours nor on their length."""
    backbone, examples = case.ready()
    together = features_of(backbone, examples)
    for index, example in enumerate(examples):
        alone = of_example(features_of(backbone, [example]), 0)
        found = difference(alone, of_example(together, index))
        expect(not found, f"example {index + 1}, alone and in a batch of {len(examples)}: {found}")


@CHECKS.add("inarch.Backbone.forward")
def order_in_a_batch_does_not_matter(case: BackboneCase) -> None:
    """The features of a batch come in the order of its examples, whatever that order is."""
    backbone, examples = case.ready()
    if len(examples) < 2:
        skip("one example only")
    forth, back = features_of(backbone, examples), features_of(backbone, examples[::-1])
    for index in range(len(examples)):
        found = difference(of_example(forth, index), of_example(back, len(examples) - 1 - index))
        expect(not found, f"example {index + 1}, in a batch and in the same one backwards: {found}")


@CHECKS.add("inarch.Features")
def features_are_finite_numbers(case: BackboneCase) -> None:
    """`pooled`, `tokens` and `maps` are floating-point and finite, for every input, in training as in evaluation."""
    for training in (False, True):
        backbone, examples = case.ready()
        features = features_of(backbone.train(training), examples)
        answers = {"pooled": features.pooled, "tokens": features.tokens}
        answers |= {f"maps[{number}]": one for number, one in enumerate(features.maps or ())}
        for name, tensor in answers.items():
            if tensor is None:
                continue
            expect(tensor.is_floating_point(), f"{name} is {tensor.dtype}")
            broken = [index + 1 for index in range(len(tensor)) if not tensor[index].isfinite().all()]
            expect(not broken, f"{name} is not finite, with training={training}, for examples {broken}")


@CHECKS.add("inarch.Features.mask")
def masks_tell_real_tokens(case: BackboneCase) -> None:
    """`mask` is boolean (B, T) where there are tokens, and every example has a real token."""
    backbone, examples = case.ready()
    features = features_of(backbone, examples)
    if features.tokens is None:
        expect(features.mask is None, "there is a mask, and no tokens")
        skip("it provides no tokens")
    if features.mask is None:
        skip("all its tokens are real")
    mask = features.mask
    expect(mask.dtype == torch.bool, f"the mask is {mask.dtype}")
    expect(mask.shape == features.tokens.shape[:2], f"the mask is {shape(mask)}, the tokens {shape(features.tokens)}")
    without = [index + 1 for index in range(len(mask)) if not mask[index].any()]
    expect(not without, f"examples {without} have no real token")


@CHECKS.add("inarch.Features.maps")
def maps_are_finest_first(case: BackboneCase) -> None:
    """`maps` is a tuple of (B, C, H, W), each no finer than the one before."""
    backbone, examples = case.ready()
    maps = features_of(backbone, examples).maps
    if maps is None:
        skip("it provides no maps")
    expect(isinstance(maps, tuple), f"maps are a {type(maps).__name__}")
    sizes = [tuple(one.shape[2:]) for one in maps]
    ordered = all(one[0] >= other[0] and one[1] >= other[1] for one, other in pairwise(sizes))
    expect(ordered, f"the sizes of the maps are {sizes}")


@CHECKS.add("inarch.Features.units")
def units_number_real_tokens(case: BackboneCase) -> None:
    """`units` (B, U) are numbers of real tokens, or -1."""
    backbone, examples = case.ready()
    features = features_of(backbone, examples)
    units, tokens = features.units, features.tokens
    if units is None:
        skip("it provides no units")
    if tokens is None:
        raise Seen("there are units, and no tokens")
    whole = not units.is_floating_point() and units.dtype != torch.bool
    expect(whole and units.ndim == 2 and len(units) == len(examples), f"units are {shape(units)} of {units.dtype}")
    for index, row in enumerate(units):
        found = row[row != -1]
        expect(len(found), f"example {index + 1} has no unit")
        inside = bool(((found >= 0) & (found < tokens.shape[1])).all())
        expect(
            inside, f"the units of example {index + 1} are {found.min()} to {found.max()} of {tokens.shape[1]} tokens"
        )
        if features.mask is not None:
            expect(features.mask[index][found].all(), f"a unit of example {index + 1} is a token that is padding")


@CHECKS.add("inarch.Features.places")
def places_lie_in_the_input(case: BackboneCase) -> None:
    """`places` (B, U, 2) are stretches [start, end) of the raw input, which `part` can name as plain data."""
    backbone = case.build().eval()
    inputs = Inputs(case.trial.inputs, backbone, separate=False)
    for number, raw in enumerate(case.trial.inputs, 1):
        features = features_of(backbone, inputs[number - 1].members)
        units, places = features.units, features.places
        if places is None:
            skip("it provides no places")
        if units is None:
            raise Seen("there are places, and no units")
        expect(places.shape == (*units.shape, 2), f"places are {shape(places)}, units {shape(units)}")
        for start, end in places[units >= 0].tolist():
            told = f"input {number}: a place from {start:g} to {end:g}"
            expect(0 <= start <= end, told)
            expect(not isinstance(raw, str) or end <= len(raw), f"{told}, the text has {len(raw)} characters")
            json.dumps(backbone.part(raw, start, end))
