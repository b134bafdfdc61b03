"""Other runs, whose bundles a strategy averages with its own weights, if they fit and share valid and test."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file

from inarch.description import WEIGHTS, read_description
from inarch.errors import InarchError, RunError, listing
from inarch.interfaces.strategy import Strategy
from inarch.interfaces.strategy import Weights as State
from inarch.model import Model
from inarch.workflows.check import Checked
from inarch.workflows.directory import refuse_other_data


def bundles_of_runs(checked: Checked, model: Model, strategy: Strategy) -> list[State]:
    """Return the bundles of `Strategy.runs`, or raise RunError saying what differs."""
    return [_bundle_of(checked, model, run) for run in strategy.runs]


def _bundle_of(checked: Checked, model: Model, run: str) -> State:
    folder = Path(run) / "model"
    try:
        description = read_description(folder)
    except InarchError as error:
        raise RunError(f"strategy.runs: {run}: {error}") from None
    _refuse(run, description, checked, model.backbone.resolved)
    refuse_other_data(Path(run), {name: values for name, values in checked.fingerprints().items() if name != "train"})
    weights = folder / WEIGHTS
    own = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    with safe_open(weights, "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  (not a mapping)
    if shapes != own:
        differing = sorted(name for name in own.keys() | shapes.keys() if own.get(name) != shapes.get(name))
        raise _mismatch(run, f"weights of other names or shapes: {listing(differing, 5)}")
    return State(run, partial(load_file, weights))


def _refuse(run: str, description: Mapping[str, Any], checked: Checked, resolved: Mapping[str, Any]) -> None:
    """Refuse another backbone than the one with these resolved options, another head or classes, and adapters."""
    if "strategy" in description:
        raise _mismatch(run, "adapters apart from the weights; train it with strategy.merge=true")
    for kind, given in (("backbone", resolved), ("head", {})):
        there = {**description[kind]["options"], "name": description[kind]["name"]}
        here = {**given, "name": checked.one(kind)[0].name}
        for key in ("name", *(key for key in ("model", "weights") if key in given)):
            if there.get(key) != here[key]:
                raise _mismatch(run, f"{kind}.{key}: {there.get(key)!r} there, {here[key]!r} here")
    classes = tuple(description["targets"]["classes"]), tuple(checked.targets.classes)
    if classes[0] != classes[1]:
        raise _mismatch(run, f"the classes {listing(classes[0])} there, {listing(classes[1])} here")


def _mismatch(run: str, found: str) -> RunError:
    return RunError(f"strategy.runs: {run} cannot be averaged with this run: it has {found}")
