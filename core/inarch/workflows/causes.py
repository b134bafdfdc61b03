"""What may be the cause of a step that is not finite: examples, inputs, weights, a module, the precision."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from inarch.data.loaders import Item
from inarch.errors import listing
from inarch.training.capsule import Capsule
from inarch.workflows.repeat import Figures, Step

ENORMOUS = 1e6
"""No input that is scaled, and no weight that learns well, is this large."""


@dataclass(frozen=True)
class Example:
    """An example of the step."""

    row: int
    """Its number in train."""
    where: str
    """A file, or a table and its line."""
    loss: float | None = None
    """Where it was taken alone."""


@dataclass(frozen=True)
class Input:
    """A tensor of the batch, over all processes."""

    name: str
    least: float
    """Of what is finite; NaN: nothing is."""
    most: float
    non_finite: int
    """How many values."""
    suspects: list[Example]
    """Examples with a value that is not finite, or enormous."""


@dataclass(frozen=True)
class Causes:
    """What was found."""

    alone: list[Example]
    """Examples of which each gives a loss or gradient that is not finite by itself."""
    together: list[Example]
    """Where none does: the fewest found that do, if they are not all."""
    inputs: list[Input]
    weights: list[str]
    """Parameters that were not finite before the step."""
    largest: tuple[str, float]
    """The parameter with the largest finite value, and its size."""
    module: str | None
    """The first to answer what is not finite to what is; or the head's loss. None: all is finite, or nothing was."""
    gradient: str | None
    """The first parameter whose gradient is not finite, in the order of the backward pass."""
    fp32: bool | None
    """Whether the step is finite in fp32; None: it was taken in it, or is finite now."""
    advice: list[str]


def look(step: Step, kept: Capsule, now: Figures) -> Causes:
    """Look for what made a step not finite; it is taken again and again for this. now: what it came to at first."""
    inputs = _inputs(kept)
    weights = [name for name, parameter in step.model.named_parameters() if not parameter.isfinite().all()]
    sizes = {name: _most(parameter) for name, parameter in step.model.named_parameters()}
    name = max(sizes, key=lambda name: sizes[name])
    module, gradient = _trace(step, kept)
    alone = [] if weights or now.finite else sorted(_alone(step, kept), key=lambda one: one.row)
    together = [] if weights or now.finite or alone else _together(step, kept)
    fp32 = None if now.finite or kept.facts.precision == "fp32" else _take(step, kept.items, "fp32").finite
    found = Causes(alone, together, inputs, weights, (name, sizes[name]), module, gradient, fp32, [])
    found.advice.extend(_advise(found, sum(len(item["rows"]) for item in kept.items if not item["idle"])))
    return found


def _take(step: Step, items: Sequence[Item], precision: str | None = None) -> Figures:
    """Take the step, never compiled: that would compile anew for each number of examples."""
    return step.take(items, precision, step.model.forward)


def _inputs(kept: Capsule) -> list[Input]:
    found = []
    for name in [*kept.items[0]["batch"], "targets"]:
        values, suspects = [], []
        for item in kept.items:
            tensor = (item["targets"] if name == "targets" else item["batch"][name]).detach()
            values.append(tensor.reshape(-1))
            if tensor.is_floating_point() and not item["idle"]:
                strange = ~(tensor.abs() <= ENORMOUS)
                suspects += [_example(item, row) for row, one in enumerate(_by_row(item, strange)) if one.any()]
        every = torch.cat(values)
        finite = every[every.isfinite()].double()
        least, most = (float(finite.min()), float(finite.max())) if len(finite) else (math.nan, math.nan)
        found.append(Input(name, least, most, len(every) - len(finite), sorted(suspects, key=lambda one: one.row)))
    return found


def _by_row(item: Item, tensor: Tensor) -> tuple[Tensor, ...]:
    """Return what of a tensor belongs to each row: one member, or it and its partner."""
    return tensor.chunk(len(item["rows"])) if len(tensor) else ()


def _example(item: Item, row: int, loss: float | None = None) -> Example:
    return Example(item["rows"][row], item["places"][row], loss)


def _most(parameter: Tensor) -> float:
    finite = parameter.detach()[parameter.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _alone(step: Step, kept: Capsule) -> Iterator[Example]:
    """Yield the examples that are not finite by themselves; one that cannot be taken alone, for a norm, is not."""
    for item in kept.items:
        for row in () if item["idle"] else range(len(item["rows"])):
            figures = _part(step, item, [row])
            if figures is not None and not figures.finite:
                yield _example(item, row, figures.loss)


def _together(step: Step, kept: Capsule) -> list[Example]:
    """Halve the examples of a process for as long as exactly one half is not finite; return those that are left."""
    for item in kept.items:
        rows = list(range(len(item["rows"])))
        while len(rows) > 1:
            halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
            bad = [half for half in halves if (figures := _part(step, item, half)) and not figures.finite]
            if len(bad) != 1:
                break
            rows = bad[0]
        if not item["idle"] and len(rows) < len(item["rows"]):
            return [_example(item, row) for row in sorted(rows, key=lambda row: item["rows"][row])]
    return []


def _part(step: Step, item: Item, rows: Sequence[int]) -> Figures | None:
    """Return what some examples come to by themselves, or None where they are too few for a batch."""
    members = len(next(iter(item["batch"].values()))) // len(item["rows"])
    places = torch.tensor([row * members + member for row in rows for member in range(members)])
    part = {
        **item,
        "batch": {name: tensor[places] for name, tensor in item["batch"].items()},
        "targets": item["targets"][torch.tensor(rows)],
        "rows": [item["rows"][row] for row in rows],
        "size": len(rows),
    }
    try:
        return _take(step, [part])
    except (ValueError, RuntimeError):
        return None


def _trace(step: Step, kept: Capsule) -> tuple[str | None, str | None]:
    """Return the first module that answers what is not finite to what is, and the first gradient that is not."""
    modules: list[str] = []
    gradients: list[str] = []
    outputs: list[bool] = []

    def after(name: str, module: nn.Module, given: Any, named: Any, answer: Any) -> None:
        # a mask may hold -inf
        strange = any((tensor.isnan() | tensor.isposinf()).any() for tensor in _tensors((given, named)))
        finite = all(tensor.isfinite().all() for tensor in _tensors(answer))
        if not modules and not strange and not finite:
            modules.append(f"{name} ({type(module).__name__})")
        if module is step.model.head:
            outputs.append(finite)

    def noted(name: str, parameter: Tensor) -> None:
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            gradients.append(name)

    hooks: list[Any] = [
        module.register_forward_hook(partial(after, name), with_kwargs=True)
        for name, module in step.model.named_modules()
        if name
    ]
    for name, parameter in step.trained.items():
        seen = partial(noted, name)
        hooks.append(parameter.register_post_accumulate_grad_hook(seen))  # type: ignore[no-untyped-call]
    loss = _take(step, kept.items).loss
    for hook in hooks:
        hook.remove()
    if not modules and all(outputs) and not math.isfinite(loss):
        modules.append(f"the loss of the head '{kept.recipe.head.name}'")
    return next(iter(modules), None), next(iter(gradients), None)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of floating point in what a module is given, or answers."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        yield from (tensor for inner in value.values() for tensor in _tensors(inner))
    elif isinstance(value, list | tuple):
        yield from (tensor for inner in value for tensor in _tensors(inner))


def _advise(found: Causes, examples: int) -> Iterator[str]:
    name, most = found.largest
    strange = [one.name for one in found.inputs if one.suspects]
    if found.weights:
        yield "the weights were not finite before the step: look where they came from, or lower train.learning_rate"
    elif most > ENORMOUS:
        yield f"the weights have grown to {most:.3g} ({name}): lower train.learning_rate, or set train.clip"
    if found.fp32:
        yield "train.precision=fp32 makes the step finite"
    clear = not (found.weights or most > ENORMOUS or found.fp32)
    if strange:
        yield f"look at {listing(strange)} of the examples named here"
    elif clear and 0 < len(found.together or found.alone) <= examples / 2:
        yield "look at the examples named here, inputs and targets"
