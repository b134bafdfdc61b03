"""Checks of what a backbone tells of itself, at registration and when built, and of the bundle that it is kept in."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import inarch
from inarch import bundle
from inarch.data.inputs import Inputs
from inarch.document import Document
from inarch.errors import InarchError, listing
from inarch.interfaces.candidate import Candidate
from inarch.interfaces.dataset import Targets
from inarch.model import Model
from inarch.plugins import build, loaded
from inarch.schema import bind, parameters, plain
from inarch.testing.backbone_case import GIVEN, ODD, BackboneCase, difference, shape
from inarch.testing.check import Checks, expect, skip
from inarch.testing.surroundings import LIMIT_OF_ODD, limited

CHECKS = Checks()


@CHECKS.add("inarch.hookspecs.register_backbones")
def verify_reads_what_transform_reads(case: BackboneCase) -> None:
    """The fact `verify` accepts every input that `transform` does, and refuses others with ValueError alone."""
    verify = case.entry.facts["verify"]
    if verify is None:
        skip("it is registered without `verify`")
    for number, raw in enumerate(case.trial.inputs, 1):
        try:
            verify(raw)
        except (ValueError, OSError) as error:
            expect(False, f"it refused input {number}, which `transform` reads: {error}")
    for raw in (*ODD, *case.trial.refused):
        with limited(LIMIT_OF_ODD):
            try:
                verify(raw)
            except (ValueError, OSError):
                pass
            except InarchError as error:
                expect(False, f"of {str(raw)[:60]!r}: {error}")


@CHECKS.add("inarch.hookspecs.register_backbones")
def keeps_names_options(case: BackboneCase) -> None:
    """The fact `keeps` names options of the builder."""
    options = parameters(case.entry.build)
    others = [name for name in case.entry.facts["keeps"] if name not in options]
    expect(not others, f"keeps names {listing(others)}, which the builder has not")


@CHECKS.add("inarch.hookspecs.register_backbones")
def starter_is_part_of_a_recipe(case: BackboneCase) -> None:
    """The fact `starter` returns a fragment of a recipe, whose components exist and take the options that it says."""
    starter = case.entry.facts["starter"]
    if starter is None:
        skip("it is registered without `starter`")
    fragment = starter()
    expect(isinstance(fragment, Mapping) and "backbone" in fragment, f"it returned {fragment!r}")
    for key, kind in {"backbone": "backbones", "head": "heads", "strategy": "strategies"}.items():
        if key in fragment:
            _bind(kind, fragment[key], f"the starter's {key}")


@CHECKS.add("inarch.Candidate")
def candidates_are_backbones(case: BackboneCase) -> None:
    """The fact `candidates` returns Candidates of different names, whose options the builder takes.

    What it requires beside them is among `keeps`, which a recipe says.
    """
    candidates = case.entry.facts["candidates"]
    if candidates is None:
        skip("it is registered without `candidates`")
    found = list(candidates())
    names = [candidate.name for candidate in found if isinstance(candidate, Candidate)]
    expect(
        len(set(names)) == len(found), f"{len(found)} candidates, of which {len(set(names))} have names of their own"
    )
    kept = {name: value for name, value in case.trial.options.items() if name in case.entry.facts["keeps"]}
    for candidate in found:
        options = {**kept, **{name: value for name, value in candidate.options.items() if name != "name"}}
        _bind("backbones", {"name": candidate.options.get("name", case.entry.name), **options}, candidate.name)


def _bind(kind: str, component: Any, whose: str) -> None:
    written = {"name": component} if isinstance(component, str) else dict(component)
    name = written.pop("name")
    try:
        entry = loaded().find(kind, name, whose)
        bind(entry.build, written, Document(whose, {}), ())
    except InarchError as error:
        expect(False, str(error))


@CHECKS.add("inarch.Backbone.source_classifier")
def source_classifier_fits_its_features(case: BackboneCase) -> None:
    """`source_classifier` returns weight (Z, D) and bias (Z,), or None."""
    backbone = case.build()
    found = backbone.source_classifier()
    if found is None:
        skip("these weights have none")
    weight, bias = found
    fits = weight.ndim == 2 and weight.shape[1] == backbone.num_features and bias.shape == weight.shape[:1]
    expect(fits, f"weight {shape(weight)} and bias {shape(bias)}, where D is {backbone.num_features}")


@CHECKS.add("inarch.Backbone.files")
def facts_and_files_are_plain(case: BackboneCase) -> None:
    """`facts` are plain data, `files()` bytes under plain names, for which the builder then has the option `files`."""
    backbone = case.build()
    try:
        json.dumps(plain(backbone.facts))
    except (TypeError, ValueError) as error:
        expect(False, f"facts are no plain data: {error}")
    for name, content in backbone.files().items():
        expect(Path(name).name == name and isinstance(content, bytes), f"{name!r} holds a {type(content).__name__}")
        expect(GIVEN in parameters(case.entry.build), f"there is {name}, and the builder has no option '{GIVEN}'")


@CHECKS.add("inarch.load")
def a_bundle_answers_like_training(case: BackboneCase) -> None:
    """A bundle of a model with this backbone, written and opened, answers raw inputs as the model did."""
    backbone = case.build()
    if "pooled" not in backbone.provides:
        skip("it provides no `pooled`, which the head of this check needs")
    values = {"values": {"no": 0, "yes": 1}}
    targets = Targets(kind="classes", classes=("no", "yes"), counts={"train": (1, 1)}, details=values)
    head = loaded().components["heads"]["classifier"]
    options = bind(head.build, {}, Document("", {}), ())
    model = Model(backbone, build(head, options, targets, backbone.num_features)).eval()
    raws = list(case.trial.inputs)
    with torch.inference_mode():
        expected = _answers(model, raws)
    parts = {"backbone": (case.entry, backbone.resolved), "head": (head, options)}
    try:
        bundle.write(Path("model"), model, parts, targets, {"input": "input"}, raws, expected)
    except InarchError as error:
        expect(False, f"writing a bundle, and opening it: {error}")
    opened = inarch.load("model")
    found = difference({"outputs": expected}, {"outputs": opened.outputs(raws).cpu()})
    expect(not found, f"before the bundle was written, and after: {found}")
    count = len(opened.predict(raws))
    expect(count == len(raws), f"{count} predictions of {len(raws)} inputs")


def _answers(model: Model, raws: list[Any]) -> Tensor:
    """Return outputs of raw inputs, each by itself, as evaluation sees them."""
    inputs, outputs = Inputs(raws, model.backbone, separate=False), []
    for index in range(len(raws)):
        seen = inputs[index]
        kept = None if seen.kept is None else torch.from_numpy(seen.kept)
        outputs.append(model.answer(model.backbone.collate(seen.members), [kept], len(seen.members)))
    return torch.cat(outputs)
