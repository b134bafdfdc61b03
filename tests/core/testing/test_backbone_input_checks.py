"""Each check of a backbone's inputs, state and facts passes a good one, and catches what it is for."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import faulty_transforms as faulty
import pytest
import torch
from faulty_backbones import CHECKS, case
from inarch_toy import candidates, starter, verify
from inarch_toy.spelling import Letters
from torch import nn

from inarch import Candidate
from inarch.testing import backbone_facts, backbone_inputs, backbone_state
from inarch.testing.check import Inapplicable, Violation

NAMES = [check.name for module in (backbone_inputs, backbone_state, backbone_facts) for check in module.CHECKS]
SMALL = {"prepared": False}
TOLD = {"verify": verify, "starter": starter, "candidates": candidates, "keeps": ("size", "noise")}
GOOD = {
    "vectors": case("vectors", {"norm": True, "noise": 0.1, "mixup": True}, facts=TOLD),
    "letters": case("letters", {"scaled": True}),
    "windows": case("letters", {"prepared": False, "window": 8}),
}


def transforming(kind: Any, also: Any = (False, True)) -> Any:
    """Return a `transform` that is faulty in training, in evaluation, or in both."""

    def transform(self, training):
        good = Letters.transform(self, training)
        return kind(good) if training in also else good

    return transform


def unpicklable(self, training):
    good = Letters.transform(self, training)
    return lambda raw: good(raw)


def without_the_batch(self, examples):
    return {**Letters.collate(self, examples), "extra": torch.zeros(1)}


def by_the_whole_batch(self, letters, units, places):
    features = Letters.forward(self, letters, units, places)
    return features._replace(pooled=features.pooled - features.pooled.mean(0))


def gaps(self, raw):
    return Letters.windows(self, raw)[::3]


def unresolved(backbone: Any) -> None:
    del backbone.resolved["tied"]


def resolving_anew(backbone: Any) -> None:
    backbone.resolved["width"] += 1


def forgetting(backbone: Any) -> None:
    backbone.register_buffer("shift", torch.rand(8), persistent=False)


def shifted(self, **batch):
    features = Letters.forward(self, **batch)
    return features._replace(pooled=features.pooled + self.shift)


def wrapped(backbone: Any) -> None:
    backbone._orig_mod = nn.Linear(2, 2)


def seeding(backbone: Any) -> None:
    torch.manual_seed(0)


def reaching(backbone: Any) -> None:
    with suppress(OSError):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)


def meddling(backbone: Any) -> None:
    os.environ["INARCH_MEDDLED"] = "yes"


def holding(backbone: Any) -> None:
    backbone.shift = torch.rand(8)


def lossy(self, **batch):
    features = Letters.forward(self, **batch)
    return features._replace(
        pooled=features.pooled.half() * 1e5 if torch.is_autocast_enabled("cpu") else features.pooled
    )


def turned(self, training):
    read = Letters.transform(self, False)
    return (lambda raw: {**read(raw), "letters": read(raw)["letters"].flip(0)}) if training else read


def refusing(raw: Any) -> None:
    raise ValueError("never")


def told(**facts: Any) -> Mapping[str, Any]:
    return facts


FAULTS = {
    "examples_are_tensors_by_name": case("letters", SMALL, transform=transforming(faulty.Listing)),
    "works_in_a_process_started_anew": case("letters", SMALL, transform=unpicklable),
    "evaluation_draws_nothing": case("letters", SMALL, transform=transforming(faulty.Drawing)),
    "training_is_a_function_of_the_seeds": case("letters", SMALL, transform=transforming(faulty.DrawingOfItsOwn)),
    "training_varies_with_the_seeds": case("letters", SMALL, transform=turned),
    "leaves_its_input_as_it_was": case(
        "letters", SMALL, inputs=[["a", "b"]] * 3, transform=transforming(faulty.Writing)),
    "odd_inputs_are_refused": case("letters", SMALL, transform=transforming(faulty.Trusting)),
    "collate_makes_a_row_of_each_example": case("letters", SMALL, collate=without_the_batch),
    "rows_of_a_batch_are_a_batch": case("letters", SMALL, forward=by_the_whole_batch),
    "lengths_are_known": case("letters", SMALL, measure=lambda self, raw: len(raw) + 1),
    "prepared_as_transformed": case("letters", prepare=lambda self, raws: [
        {**example, "places": example["places"] + 1} for example in map(Letters.transform(self, False), raws)]),
    "windows_cover_the_input": case("letters", {"prepared": False, "window": 8}, windows=gaps),
    "mixed_examples_fit_their_kind": case("letters", SMALL, transform=transforming(faulty.MixingTooMuch)),
    "resolved_names_every_option": case("letters", SMALL, change=unresolved),
    "resolved_builds_the_same_pipeline": case("letters", SMALL, change=resolving_anew),
    "saved_weights_give_the_same_bits": case("letters", SMALL, change=forgetting, forward=shifted),
    "names_of_its_state_are_its_own": case("letters", SMALL, change=wrapped),
    "random_weights_follow_the_seed": case("letters", SMALL, change=seeding),
    "builds_without_network": case("letters", SMALL, change=reaching),
    "leaves_the_process_as_it_was": case("letters", SMALL, change=meddling),
    "moves_with_its_device": case("letters", SMALL, change=holding, forward=shifted),
    "works_in_half_precision": case("letters", SMALL, forward=lossy),
    "verify_reads_what_transform_reads": case("letters", SMALL, facts=told(verify=refusing)),
    "keeps_names_options": case("letters", SMALL, facts=told(keeps=("with",))),
    "starter_is_part_of_a_recipe": case("letters", SMALL, facts=told(starter=lambda: {"backbone": "letter"})),
    "candidates_are_backbones": case("letters", SMALL, facts=told(candidates=lambda: [Candidate("a", {"widht": 2})])),
    "source_classifier_fits_its_features": case("letters", SMALL, source_classifier=lambda self: (
        torch.zeros(3, 4), torch.zeros(3))),
    "facts_and_files_are_plain": case("letters", SMALL, files=lambda self: {"../letters.txt": b"abc"}),
    "a_bundle_answers_like_training": case("letters", SMALL, change=holding, forward=shifted),
}  # fmt: skip
ALSO = {
    "a process that ends": ("odd_inputs_are_refused", case("letters", SMALL, transform=transforming(faulty.Exiting))),
    "examples of another process": (
        "works_in_a_process_started_anew", case("letters", SMALL, transform=transforming(faulty.ByProcess))),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("good", GOOD)
def test_a_good_backbone_passes(good: str, name: str) -> None:
    try:
        CHECKS[name](GOOD[good])
    except Inapplicable as reason:
        assert str(reason)


def test_there_is_a_fault_for_every_check() -> None:
    assert set(FAULTS) == set(NAMES)


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_catches_what_it_is_for(name: str) -> None:
    with pytest.raises(Violation) as caught:
        CHECKS[name](FAULTS[name])
    assert caught.value.check.name == name


@pytest.mark.parametrize("fault", ALSO)
def test_a_check_catches_this_too(fault: str) -> None:
    name, broken = ALSO[fault]
    with pytest.raises(Violation):
        CHECKS[name](broken)
