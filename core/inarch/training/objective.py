"""What a head is fitted by: its loss on stored features and a penalty, in coordinates in which it is quickly minimised.

Features are standardised by the mean and deviation of train, and turned to their principal axes. Both is linear, and
folded into the linear layer that reads the features, so that the head takes them as they are. Along these axes second
derivatives are near a share of the features' variance (exactly that for squared errors): a few steps are enough.

Shapes: N examples, D features, R principal axes (at most N and D), P parameters in a row.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from inarch.interfaces.backbone import Features
from inarch.interfaces.head import Head
from inarch.training.folds import Folds
from inarch.training.minimum import Minimum, bend_along, identity, minimise

FLAT = 1e-6  # a deviation below this share of the mean's size is rounding, and no deviation
MOST_TURNED = 2560  # features; beyond them finding the axes takes longer than steps without them


def as_features(head: Head, values: Tensor) -> Features:
    """Return pooled values (B, D) as the field that a head reads: one token has itself as mean and maximum."""
    return Features(tokens=values[:, None]) if "tokens" in head.needs else Features(pooled=values)


class _Scale(NamedTuple):
    """How features x (B, D) are changed: (x - mean) / deviation, times turn."""

    mean: Tensor
    deviation: Tensor
    turn: Tensor | None
    """(D, R), orthonormal columns; None: no turn."""

    def change(self, values: Tensor) -> Tensor:
        """Return (B, R)."""
        values = (values - self.mean) / self.deviation
        return values if self.turn is None else values @ self.turn

    def narrow(self, weight: Tensor) -> Tensor:
        """Return a weight (K, D) for standardised features as one (K, R) for changed ones."""
        return weight if self.turn is None else weight @ self.turn

    def fold(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the layer (K, D), (K,) that answers to features as the given one (K, R) does to changed ones."""
        weight = (weight if self.turn is None else weight @ self.turn.T) / self.deviation
        return weight, None if bias is None else bias - weight @ self.mean


class _Losses(nn.Module):
    """A head's loss as a module's forward, so that all its parameters can be exchanged."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, values: Tensor, targets: Tensor | None) -> Any:
        """Return (sum, count) for values (B, R) and targets; without these, the outputs."""
        outputs = self.head(as_features(self.head, values))
        return outputs if targets is None else self.head.loss(outputs, targets)


class _Side:
    """The loss in one precision, on rows of its own; it takes parameters in fp64 by name."""

    def __init__(self, losses: _Losses, names: Sequence[str], values: Tensor, targets: Tensor) -> None:
        self.losses, self.values, self.targets = losses, values, targets
        own = dict(losses.named_parameters())
        self.parameters = [own[name] for name in names]

    def mean_loss(self, named: Mapping[str, Tensor], rows: slice) -> tuple[float, Tensor]:
        """Return the mean loss on rows and its gradient (P,)."""
        self._put(named)
        total, count = self.losses(self.values[rows], self.targets[rows])
        divisor = max(float(count.detach()), 1e-12)
        return float(total.detach()) / divisor, _row(torch.autograd.grad(total, self.parameters)).double() / divisor

    @torch.no_grad()
    def loss(self, named: Mapping[str, Tensor], rows: slice) -> tuple[float, float]:
        """Return the summed loss on rows and what to divide it by."""
        self._put(named)
        total, count = self.losses(self.values[rows], self.targets[rows])
        return float(total), float(count)

    def _put(self, named: Mapping[str, Tensor]) -> None:
        for parameter, value in zip(self.parameters, named.values(), strict=True):
            parameter.data = value.to(parameter.dtype)


class Objective:
    """The loss of a head on all rows, or on all but a fold's, as a function of its parameters in a row (P,)."""

    def __init__(self, head: Head, views: Sequence["np.ndarray[Any, Any]"], targets: Tensor, folds: Folds) -> None:
        losses = _Losses(copy.deepcopy(head).cpu().double().eval())
        values, targets, self.ends, self.held = _in_order(views, targets, folds)
        self.folds, self.count = folds.count, len(values)
        trained = {name: parameter for name, parameter in losses.named_parameters() if parameter.requires_grad}
        self.reader = _find_reader(losses, trained, values[:8])
        self.note = "" if self.reader else "no single linear layer reads the features: they are not standardised"
        if self.reader:
            self.scale = _standardise(values, f"{self.reader}.bias" in trained)
            values = self.scale.change(values)
            layer, weight = losses.get_submodule(self.reader), f"{self.reader}.weight"
            layer.weight = trained[weight] = nn.Parameter(self.scale.narrow(trained[weight].detach()))
        self.linear = self.reader is not None and {f"{self.reader}.weight", f"{self.reader}.bias"} >= trained.keys()
        self.shapes = {name: parameter.shape for name, parameter in trained.items()}
        self.start = _row([parameter.detach() for parameter in trained.values()])
        self.shrunk = _row([torch.full_like(parameter, parameter.ndim > 1) for parameter in trained.values()]).detach()
        self.moments = values.square().mean(0)
        self.exact = _Side(losses, list(trained), values, targets)
        # in a fold fp32 will do; twice, one after the other: what is left without a fold is a stretch of it
        single = values.float(), targets.float() if targets.is_floating_point() else targets
        self.rough = _Side(copy.deepcopy(losses).float(), list(trained), *(torch.cat([part, part]) for part in single))
        self._guesses: dict[float, Callable[[Tensor], Tensor]] = {}

    def solve(self, penalty: float, fold: int | None, start: Tensor, tolerance: float) -> Minimum:
        """Minimise over all rows but those of a fold (None: over all)."""
        side = self.exact if fold is None else self.rough
        rows = slice(0, self.count) if fold is None else slice(self.ends[fold + 1], self.count + self.ends[fold])

        def function(point: Tensor) -> tuple[float, Tensor]:
            value, gradient = side.mean_loss(self._named(point), rows)
            shrunk = penalty * self.shrunk * point
            return value + 0.5 * float(shrunk @ point), gradient + shrunk

        if penalty not in self._guesses:
            self._guesses[penalty] = self._guess(function, penalty, start) if self.reader else identity
        return minimise(function, start, self._guesses[penalty], tolerance)

    def held_out(self, fold: int, point: Tensor) -> tuple[float, float]:
        """Return the summed loss on what a fold holds out, as evaluation sees it, and what to divide it by."""
        return self.rough.loss(self._named(point), slice(self.ends[fold], self.ends[fold] + self.held[fold]))

    @torch.no_grad()
    def settle(self, head: Head, point: Tensor) -> None:
        """Give the head the parameters."""
        found = self._named(point)
        if self.reader:
            found.update(_folded(self.scale, self.reader, found))
        for name, parameter in _Losses(head).named_parameters():
            if name in found:
                parameter.copy_(found[name])

    def _named(self, point: Tensor) -> dict[str, Tensor]:
        parts = torch.split(point, [shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for part, (name, shape) in zip(parts, self.shapes.items(), strict=True)}

    def _guess(
        self, function: Callable[[Tensor], tuple[float, Tensor]], penalty: float, start: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Return a product with a rough inverse of the Hessian: the reader's features' moments, as they bend here."""
        weight = f"{self.reader}.weight"
        along = {name: torch.zeros(shape, dtype=start.dtype) for name, shape in self.shapes.items()}
        along[weight] = self._named(function(start)[1])[weight]
        squares, moment = along[weight].square().sum(), (along[weight].square() * self.moments).sum()
        if not moment > 0:
            return identity
        bend = bend_along(function, start, _row(list(along.values())))
        share = (bend - penalty * float(squares)) / float(moment)
        share = share if share > 1e-6 else 1.0  # at a point that is no valley
        along = {name: torch.full(shape, 1 / share, dtype=start.dtype) for name, shape in self.shapes.items()}
        along[weight] = (1 / (share * self.moments + max(penalty, 1e-9))).expand(self.shapes[weight])
        inverse = _row(list(along.values()))
        return lambda vector: inverse * vector


def _in_order(
    views: Sequence["np.ndarray[Any, Any]"], targets: Tensor, folds: Folds
) -> tuple[Tensor, Tensor, list[int], list[int]]:
    """Return features and targets fold by fold, those in none last, and in each fold view by view.

    Also where folds end, the first of them beginning at 0, and how many examples each holds out.
    """
    numbers = [np.flatnonzero(folds.of == fold) for fold in range(folds.count + 1)]
    parts = [(view, rows) for rows in numbers for view in views]
    values = torch.cat([torch.from_numpy(np.asarray(view)[rows]).double() for view, rows in parts])
    known = torch.cat([targets[torch.from_numpy(rows)] for _, rows in parts])
    held = [len(rows) for rows in numbers]
    ends = [0, *(np.cumsum(held) * len(views)).tolist()]
    return values, known.double() if known.is_floating_point() else known, ends, held


def _row(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _standardise(values: Tensor, shifts: bool) -> _Scale:
    """Return the scale of features (N, D); without a bias to take it up, their mean stays."""
    mean, deviation = values.mean(0), values.std(0, correction=0)
    deviation = torch.where(deviation > FLAT * values.square().mean(0).sqrt(), deviation, 1.0)
    scale = _Scale(mean if shifts else torch.zeros_like(mean), deviation, None)
    changed, basis = scale.change(values).float(), None
    if min(changed.shape) > MOST_TURNED:
        return scale
    if len(changed) < changed.shape[1]:
        basis, triangle = torch.linalg.qr(changed.T)
        changed = triangle.T
    axes = torch.linalg.eigh(changed.T @ changed).eigenvectors
    return scale._replace(turn=(axes if basis is None else basis @ axes).double())


@torch.no_grad()
def _find_reader(losses: _Losses, trained: Mapping[str, Tensor], values: Tensor) -> str | None:
    """Return the name of the one linear layer that reads the features as they are; None: nothing can be folded."""
    readers: list[str] = []

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda module, given: readers.append(name) if torch.equal(given[0], values) else None

    hooks = [module.register_forward_pre_hook(note(name)) for name, module in losses.named_modules()
             if isinstance(module, nn.Linear)]  # fmt: skip
    losses(values, None)
    for hook in hooks:
        hook.remove()
    if len(readers) != 1 or f"{readers[0]}.weight" not in trained:
        return None
    [name] = readers
    scale = _standardise(values, f"{name}.bias" in trained)
    weight = f"{name}.weight"
    changed: dict[str, Tensor] = {**trained, weight: scale.narrow(trained[weight])}
    try:  # a head that reads the features elsewhere too, or knows their number, answers otherwise
        one = functional_call(losses, changed, (scale.change(values), None))
        other = functional_call(losses, {**changed, **_folded(scale, name, changed)}, (values, None))
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    except (AssertionError, RuntimeError, TypeError, ValueError):
        return None
    return name


def _folded(scale: _Scale, reader: str, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weight, bias = scale.fold(named[f"{reader}.weight"], named.get(f"{reader}.bias"))
    return {f"{reader}.weight": weight, **({} if bias is None else {f"{reader}.bias": bias})}
