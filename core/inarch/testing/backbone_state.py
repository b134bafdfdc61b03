"""Checks of what a backbone is built from, what it keeps, and what building it does to the process."""

import json
import os
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inarch.description import files_of
from inarch.document import Document
from inarch.errors import InarchError, listing
from inarch.interfaces.backbone import Backbone
from inarch.parts import write_files
from inarch.schema import bind, parameters, plain
from inarch.testing.backbone_case import GIVEN, BackboneCase, difference, features_of, of_example
from inarch.testing.check import Checks, expect
from inarch.testing.comparing import drawing_is_seen
from inarch.testing.surroundings import offline, undone
from inarch.weights import load_strictly, savable

CHECKS = Checks()


def again(case: BackboneCase, backbone: Backbone, seed: int = 1) -> Backbone:
    """Build it a second time, with other random weights, from what a bundle would hold."""
    write_files(Path(), backbone)
    told = json.loads(json.dumps(plain(backbone.resolved)))
    options = {**told, **files_of(Path())}
    document = Document(f"`resolved` of {case.label}", {})
    try:
        bound = bind(case.entry.build, options, document, ())
    except InarchError as error:
        expect(False, f"the builder does not take `resolved` as JSON: {error}")
    return case.build(seed, bound)


@CHECKS.add("inarch.Backbone.resolved")
def resolved_names_every_option(case: BackboneCase) -> None:
    """`resolved` has a value for every option of the builder, defaults written out, and is plain data."""
    backbone = case.build()
    case.examples(backbone)
    options, resolved = set(parameters(case.entry.build)) - {GIVEN}, set(backbone.resolved)
    expect(options <= resolved, f"resolved lacks {listing(sorted(options - resolved))}")
    expect(resolved <= options, f"resolved has {listing(sorted(resolved - options))}, which the builder has not")
    try:
        json.dumps(plain(backbone.resolved))
    except (TypeError, ValueError) as error:
        expect(False, f"resolved is no plain data: {error}")


@CHECKS.add("inarch.Backbone.resolved")
def resolved_builds_the_same_pipeline(case: BackboneCase) -> None:
    """The builder makes the same pipeline of `resolved`, which as JSON and back it takes as it is."""
    backbone = case.build().eval()
    examples = case.examples(backbone)
    other = again(case, backbone).eval()
    one, two = plain(backbone.resolved), plain(other.resolved)
    changed = [name for name in one if name not in two or one[name] != two[name]]
    expect(not changed, f"built again, resolved differs in {listing(changed)}")
    for number, (first, second) in enumerate(zip(examples, case.examples(other), strict=True), 1):
        found = difference(first, second, tolerance=0)
        expect(not found, f"example {number}, built again: {found}")


@CHECKS.add("inarch.Backbone")
def saved_weights_give_the_same_bits(case: BackboneCase) -> None:
    """The state, saved and loaded into a backbone that the constructor made of `resolved`, gives equal features."""
    backbone, examples = case.ready()
    save_file(savable(backbone.state_dict()), "state.safetensors")
    other = again(case, backbone).eval()
    try:
        load_strictly(other, load_file("state.safetensors"), "the saved state")
    except InarchError as error:
        expect(False, str(error))
    one, two = features_of(backbone, examples), features_of(other, examples)
    for index in range(len(examples)):
        found = difference(of_example(one, index), of_example(two, index), tolerance=0)
        expect(not found, f"example {index + 1}, before saving and after: {found}; is a buffer not saved?")


@CHECKS.add("inarch.Backbone")
def names_of_its_state_are_its_own(case: BackboneCase) -> None:
    """No name in the state comes from a wrapper (`_orig_mod.` of compiling, `module.` of parallel training)."""
    backbone = case.build()
    wrapped = [name for name in backbone.state_dict() if {"_orig_mod", "module"} & set(name.split("."))]
    expect(not wrapped, f"{len(wrapped)} names come from a wrapper: {listing(wrapped, 5)}")


@CHECKS.add("inarch.Backbone")
def random_weights_follow_the_seed(case: BackboneCase) -> None:
    """The constructor draws random weights from the generators as they are, and seeds none of them."""
    first, second = case.build(1), case.build(1)
    found = difference(first.state_dict(), second.state_dict(), tolerance=0)
    expect(not found, f"built twice with the same seed: {found}")
    rests = []
    for seed in (2, 3):
        random.seed(seed)
        np.random.seed(seed)
        case.build(seed)
        rests.append((random.random(), float(np.random.random()), float(torch.rand(()))))
    names = zip(("python", "numpy", "torch"), *rests, strict=True)
    seeded = [name for name, one, two in names if one == two]
    expect(not seeded, f"after building, the generators of {listing(seeded)} go on alike whatever their seed was")


@CHECKS.add("inarch.Backbone.load_weights")
def builds_without_network(case: BackboneCase) -> None:
    """The constructor reaches beyond the machine for nothing: a bundle is opened by it where there is no network."""
    with offline() as wanted:
        again(case, case.build())
    expect(not wanted, f"it wanted {listing(sorted(set(wanted)))}")


@CHECKS.add("inarch.Backbone")
def leaves_the_process_as_it_was(case: BackboneCase) -> None:
    """Building, transforming and answering change no setting of the process, and evaluation draws no number."""
    with undone():
        case.ready()  # what libraries do when they are imported is theirs
    torch.set_num_threads(torch.get_num_threads() % 2 + 1)
    before = _settings()
    backbone, examples = case.ready()
    backbone.transform(True)(case.trial.inputs[0])
    with drawing_is_seen() as drawn:
        features_of(backbone, examples)
    after = _settings()
    changed = [name for name in before if before[name] != after[name]]
    told = [f"{name} (from {str(before[name])[:80]} to {str(after[name])[:80]})" for name in changed]
    expect(not changed, f"it changed {listing(told)}")
    expect(not drawn, f"in evaluation, forward drew from the generators of {listing(drawn)}")


def _settings() -> dict[str, Any]:
    return {
        "the working directory": os.getcwd(),  # noqa: PTH109
        "environment variables": dict(os.environ),
        "warning filters": list(warnings.filters),
        "torch's number of threads": torch.get_num_threads(),
        "torch's default type": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "whether gradients are recorded": torch.is_grad_enabled(),
        "whether torch is deterministic": torch.are_deterministic_algorithms_enabled(),
        "the precision of matrix products": torch.get_float32_matmul_precision(),
    }


@CHECKS.add("inarch.Backbone.forward")
def moves_with_its_device(case: BackboneCase) -> None:
    """All that `forward` needs is in parameters, buffers and the batch, so that it goes where the backbone goes."""
    backbone, examples = case.ready()
    batch = {name: tensor.to("meta") for name, tensor in backbone.collate(examples).items()}
    try:
        with torch.no_grad():
            backbone.to("meta")(**batch)
    except Exception as error:  # what depends on values cannot be computed there
        told = str(error).splitlines()[0]
        expect("same device" not in told and "expected device" not in told, f"moved to another device: {told}")
        outside = _outside(backbone)
        expect(not outside, f"tensors that are neither parameters nor buffers: {listing(outside, 5)}")


def _outside(backbone: Backbone) -> list[str]:
    """Return the names of attributes that are tensors, or hold some, and do not move."""
    found = []
    for path, module in backbone.named_modules():
        for name, value in vars(module).items():
            held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            if name not in ("_buffers", "_parameters") and any(type(item) is Tensor for item in held):
                found.append(f"{path}.{name}".lstrip("."))
    return found


@CHECKS.add("inarch.Backbone.forward")
def works_in_half_precision(case: BackboneCase) -> None:
    """Under autocast to bf16 features are finite, and near those of fp32."""
    backbone, examples = case.ready()
    exact = features_of(backbone, examples)
    with torch.autocast("cpu", torch.bfloat16):
        rough = features_of(backbone, examples)
    for index in range(len(examples)):
        found = difference(of_example(exact, index), of_example(rough, index), tolerance=0.25)
        expect(not found, f"example {index + 1}, in fp32 and under autocast to bf16: {found}")
