"""Checks of a backbone's features.

Shapes: B batch, D features, T tokens.
"""

import torch

from inarch.interfaces.backbone import Features
from inarch.testing.backbone_case import BackboneCase, difference, features_of, filled, of_example, shape
from inarch.testing.check import Checks, expect, skip

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
