"""What a head is fitted by: its loss on stored features and a penalty, in coordinates in which it is quickly minimised.

Features are standardised by the mean and deviation of train, and where there are more features than examples, turned so
that only the dimensions which the examples span are left. Both is linear, and folded into the linear layer that reads
the features, so that the head takes them as they are. Second derivatives are guessed as a share of the features' second
moments, which is exact for squared errors and near for the rest: a few steps are enough.

Shapes: N examples, D features, R of them or fewer after the turn, P parameters in a row.
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
MOMENT_ROWS = 4  # examples for each dimension are enough for second moments that are a guess anyway


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


class Objective:
    """The loss of a head on all rows, or on all but a fold's, as a function of its parameters in a row (P,)."""

    def __init__(self, head: Head, views: Sequence["np.ndarray[Any, Any]"], targets: Tensor, folds: Folds) -> None:
        self.losses = _Losses(copy.deepcopy(head).cpu().double().eval())
        trained = {name: p.detach() for name, p in self.losses.named_parameters() if p.requires_grad}
        self.folds, self.views = folds.count, len(views)
        order = np.argsort(folds.of, kind="stable")
        sizes: list[int] = np.bincount(folds.of, minlength=folds.count + 1).tolist()
        self.ends = [0, *(np.cumsum(sizes) * len(views)).tolist()]
        self.held = sizes
        values, self.targets = _in_order(views, targets, order, sizes)
        self.reader = _find_reader(self.losses, trained, values[:8])
        self.note = "" if self.reader else "no single linear layer reads the features: they are not standardised"
        self.values = values
        if self.reader:
            self.scale = _standardise(values, f"{self.reader}.bias" in trained)
            self.values = self.scale.change(values)
            trained[f"{self.reader}.weight"] = self.scale.narrow(trained[f"{self.reader}.weight"])
        self.shapes = {name: tensor.shape for name, tensor in trained.items()}
        self.start = torch.cat([tensor.flatten() for tensor in trained.values()])
        own = {f"{self.reader}.weight", f"{self.reader}.bias"} if self.reader else set()
        self.linear = own >= trained.keys()
        self._moments: Tensor | None = None
        self._guesses: dict[float, Callable[[Tensor], Tensor]] = {}

    def solve(self, penalty: float, fold: int | None, start: Tensor, tolerance: float) -> Minimum:
        """Minimise over all rows but those of a fold (None: over all)."""

        def function(point: Tensor) -> tuple[float, Tensor]:
            return self._value(point, penalty, fold)

        if penalty not in self._guesses:
            self._guesses[penalty] = self._guess(function, penalty, start) if self.reader else identity
        return minimise(function, start, self._guesses[penalty], tolerance)

    @torch.no_grad()
    def held_out(self, fold: int, point: Tensor) -> tuple[float, float]:
        """Return the summed loss on what a fold holds out, as evaluation sees it, and what to divide it by."""
        rows = slice(self.ends[fold], self.ends[fold] + self.held[fold])
        total, count = functional_call(self.losses, self._named(point), (self.values[rows], self.targets[rows]))
        return float(total), float(count)

    @torch.no_grad()
    def settle(self, head: Head, point: Tensor) -> None:
        """Give the head the parameters."""
        found = dict(self._named(point))
        if self.reader:
            found.update(_folded(self.scale, self.reader, found))
        for name, parameter in _Losses(head).named_parameters():
            if name in found:
                parameter.copy_(found[name])

    def _named(self, point: Tensor) -> dict[str, Tensor]:
        parts = torch.split(point, [shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for part, (name, shape) in zip(parts, self.shapes.items(), strict=True)}

    def _value(self, point: Tensor, penalty: float, fold: int | None) -> tuple[float, Tensor]:
        """Return the penalised mean loss and its gradient (P,)."""
        point = point.detach().requires_grad_()
        named = self._named(point)
        whole = [slice(0, len(self.values))]
        beside = whole if fold is None else [slice(0, self.ends[fold]), slice(self.ends[fold + 1], len(self.values))]
        parts = [functional_call(self.losses, named, (self.values[rows], self.targets[rows]))
                 for rows in beside if rows.start < rows.stop]  # fmt: skip
        count = sum(float(part[1].detach()) for part in parts)
        squares = sum(tensor.square().sum() for tensor in named.values() if tensor.ndim > 1)
        value: Tensor = sum(part[0] for part in parts) / max(count, 1e-12) + penalty / 2 * squares
        [gradient] = torch.autograd.grad(value, point)
        return float(value.detach()), gradient

    def _guess(
        self, function: Callable[[Tensor], tuple[float, Tensor]], penalty: float, start: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Return a product with a rough inverse of the Hessian: the reader's features' moments, as they bend here."""
        if self._moments is None:
            rows = self.values[:: max(1, len(self.values) // (MOMENT_ROWS * self.values.shape[1]))]
            self._moments = rows.T @ rows / len(rows)
        weight = f"{self.reader}.weight"
        along = {name: torch.zeros(shape, dtype=start.dtype) for name, shape in self.shapes.items()}
        along[weight] = self._named(function(start)[1])[weight]
        squares, moment = along[weight].square().sum(), (along[weight] @ self._moments * along[weight]).sum()
        if not moment > 0:
            return identity
        bend = bend_along(function, start, torch.cat([tensor.flatten() for tensor in along.values()]))
        share = (bend - penalty * float(squares)) / float(moment)
        share = share if share > 1e-6 else 1.0  # at a point that is no valley
        diagonal = max(penalty, 1e-9) * torch.eye(len(self._moments), dtype=start.dtype)
        factor = torch.linalg.cholesky(share * self._moments + diagonal)

        def product(vector: Tensor) -> Tensor:
            named = self._named(vector / share)
            named[weight] = share * torch.cholesky_solve(named[weight].T, factor).T
            return torch.cat([tensor.flatten() for tensor in named.values()])

        return product


def _in_order(
    views: Sequence["np.ndarray[Any, Any]"], targets: Tensor, order: "np.ndarray[Any, Any]", sizes: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return features and targets fold by fold, in each fold view by view."""
    numbers = torch.from_numpy(order)
    parts, start = [], 0
    for size in sizes:
        parts += [(view, numbers[start : start + size]) for view in range(len(views))]
        start += size
    arrays = [torch.from_numpy(np.asarray(views[view])[rows.numpy()]).double() for view, rows in parts]
    known = [targets[rows] for _, rows in parts]
    joined = torch.cat(known)
    return torch.cat(arrays), joined.double() if joined.is_floating_point() else joined


def _standardise(values: Tensor, shifts: bool) -> _Scale:
    """Return the scale of features (N, D); without a bias to take it up, their mean stays."""
    mean, deviation = values.mean(0), values.std(0, correction=0)
    deviation = torch.where(deviation > FLAT * values.square().mean(0).sqrt(), deviation, 1.0)
    scale = _Scale(mean if shifts else torch.zeros_like(mean), deviation, None)
    if len(values) >= values.shape[1]:
        return scale
    return scale._replace(turn=torch.linalg.qr(scale.change(values).T).Q)


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
    changed = {**trained, weight: scale.narrow(trained[weight])}
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
