"""The minimum of a smooth function of a vector: L-BFGS, with a guess of the curvature to begin from.

Liu and Nocedal 1989, On the limited memory BFGS method for large scale optimization; the two loops are algorithm 7.4 of
Nocedal and Wright, Numerical optimization (2006). Shapes: P parameters.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Function = Callable[[Tensor], tuple[float, Tensor]]
"""A point (P,) to the value there and the gradient (P,)."""
MEMORY = 10
DECREASE = 1e-4  # of what the slope promises, a step must bring this share (Armijo)
HALVINGS = 30


class Minimum(NamedTuple):
    """Where a minimisation ended."""

    point: Tensor
    """(P,)"""
    value: float
    iterations: int
    converged: bool


def minimise(
    function: Function, start: Tensor, precondition: Callable[[Tensor], Tensor], tolerance: float, most: int = 500
) -> Minimum:
    """Go downhill from `start` until less than `tolerance` of the value is to be gained, as the model of it says.

    precondition: a vector (P,) times a rough inverse of the Hessian. most: iterations.
    """
    point, (value, gradient) = start, function(start)
    pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=MEMORY)
    for iteration in range(most):
        direction = -_times_inverse(gradient, pairs, precondition)
        slope = float(direction @ gradient)
        if slope >= 0 and pairs:  # rounding, or a function that is not convex: begin anew
            pairs.clear()
            direction = -precondition(gradient)
            slope = float(direction @ gradient)
        if -slope / 2 <= tolerance * max(1.0, abs(value)):
            return Minimum(point, value, iteration, True)
        found = _step(function, point, value, direction, slope)
        if found is None:  # no smaller value within the precision of numbers
            return Minimum(point, value, iteration, True)
        there, value, slope_there = found
        change, bend = there - point, slope_there - gradient
        product = float(change @ bend)
        if product > 1e-12 * float(bend @ bend) * float(change @ change) ** 0.5:
            pairs.append((change, bend, product))
        point, gradient = there, slope_there
    return Minimum(point, value, most, False)


def _step(
    function: Function, point: Tensor, value: float, direction: Tensor, slope: float
) -> tuple[Tensor, float, Tensor] | None:
    """Return the first point on the way that is low enough, its value and gradient; shorter steps by a parabola."""
    length = 1.0
    for _ in range(HALVINGS):
        there = point + length * direction
        found, gradient = function(there)
        if found <= value + DECREASE * length * slope:
            return there, found, gradient
        lowest = -slope * length**2 / (2 * (found - value - slope * length)) if found < float("inf") else 0.0
        length = min(max(lowest, 0.1 * length), 0.5 * length)
    return None


def _times_inverse(
    vector: Tensor, pairs: "deque[tuple[Tensor, Tensor, float]]", precondition: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return a vector times the inverse Hessian, as the last steps and the bends of the gradient on them tell it."""
    result, shares = vector.clone(), []
    for change, bend, product in reversed(pairs):
        share = float(change @ result) / product
        result -= share * bend
        shares.append(share)
    if pairs:
        _, bend, product = pairs[-1]
        scaled = precondition(bend)
        result = precondition(result) * (product / float(bend @ scaled))
    else:
        result = precondition(result)
    for (change, bend, product), share in zip(pairs, reversed(shares), strict=True):
        result += (share - float(bend @ result) / product) * change
    return result


def identity(vector: Tensor) -> Tensor:
    """Return the vector: nothing is known of the Hessian."""
    return vector


def bend_along(function: Function, point: Tensor, direction: Tensor) -> float:
    """Return the second derivative of a function at a point along a direction (P,), by a difference of gradients."""
    step = 1e-3 * max(1.0, float(point.norm())) / max(float(direction.norm()), torch.finfo(point.dtype).tiny)
    difference = function(point + step * direction)[1] - function(point)[1]
    return float(difference @ direction) / step
