"""A head fitted to stored features until it converges: its own loss, and a penalty chosen by cross-validation.

The objective is the mean of the head's loss plus penalty / 2 times the sum of the squares of its parameters of two or
more dimensions, in float64 on the CPU: the same bits in every run. Shapes: N examples, D features.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inarch.errors import RunError, listing
from inarch.interfaces.head import Head
from inarch.model import each
from inarch.training.folds import make_folds
from inarch.training.objective import Objective, as_features

PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)
"""From strong to weak, on the scale of the mean loss: with n examples, 1 / (n C) of scikit-learn's C."""
DEFAULT_PENALTY = 0.1
"""Where there can be no folds."""
ROUGH, EXACT = 1e-5, 1e-10  # of the loss, what may be left to gain in a fold, and at the end
CHUNK = 4096  # examples that go through the head at once when the loss is measured


@dataclass(frozen=True)
class Fitted:
    """What a fit found; the head has the parameters."""

    loss: float
    """The head's loss summed over all views of train."""
    count: float
    """What it is divided by for a mean."""
    facts: dict[str, Any]
    """Plain data for people: `penalty`, `cross_validation` (pairs of a penalty and the loss held out), `notes`, ..."""


def fit_head(
    head: Head,
    views: Sequence["np.ndarray[Any, Any]"],
    targets: Tensor,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
    penalties: Sequence[float] = PENALTIES,
    where: Callable[[int], str] = "example {}".format,
) -> Fitted:
    """Fit a head to pooled features; it has the answer when this returns.

    views: features (N, D), one array for each view of the examples; the first is that of evaluation, and the only one
    that is held out. targets (N, ...): encoded. groups (N,): values that no fold may cut through. seed: of the folds.
    penalties: to choose from, from strong to weak. where: names an example, for messages.
    """
    _refuse_non_finite(views, where)
    known = {"examples": len(targets), "views": len(views), "dimensions": int(views[0].shape[1])}
    own = head.fit(torch.from_numpy(np.array(views[0])), targets)
    if own is not None:
        return Fitted(*_measure(head, views[:1], targets), {**known, "views": 1, **own})
    classes = None if targets.is_floating_point() or targets.ndim != 1 else targets.numpy()
    folds = make_folds(classes, groups, len(targets), seed)
    objective = Objective(head, views, targets, folds)
    notes = [note for note in (folds.note, objective.note) if note]
    losses: list[tuple[float, float]] = []
    penalty, start = penalties[0], objective.start
    if len(penalties) > 1 and folds.count:
        losses, penalty, start = _choose(objective, penalties)
    elif len(penalties) > 1:
        penalty = DEFAULT_PENALTY
        notes.append(f"without cross-validation the penalty is {penalty:g}")
    found = objective.solve(penalty, None, start, EXACT)
    if not math.isfinite(found.value):
        raise RunError("the head's loss on stored features is not finite: look at the targets of train")
    if not found.converged:
        notes.append(f"the fit had not converged after {found.iterations} iterations")
    objective.settle(head, found.point)
    chosen = {"penalty": penalty, "cross_validation": losses, "folds": folds.count, "iterations": found.iterations,
              "standardised": objective.reader is not None, "notes": notes}  # fmt: skip
    return Fitted(*_measure(head, views, targets), {**known, **chosen})


def _choose(objective: Objective, penalties: Sequence[float]) -> tuple[list[tuple[float, float]], float, Tensor]:
    """Return the loss held out for each penalty tried, the best penalty, and where to begin with it on all of train.

    From strong to weak, each from the answer of the one before; a penalty that does worse than a stronger one ends it.
    """
    losses: list[tuple[float, float]] = []
    points = [objective.start] * objective.folds
    best = math.inf, penalties[0], objective.start
    for penalty in penalties:
        found = [objective.solve(penalty, fold, points[fold], ROUGH).point for fold in range(objective.folds)]
        held = [objective.held_out(fold, point) for fold, point in enumerate(found)]
        loss = sum(total for total, _ in held) / sum(count for _, count in held)
        losses.append((penalty, loss))
        if not loss < best[0]:
            break
        best = loss, penalty, torch.stack(found).mean(0) if objective.linear else objective.start
        points = found if objective.linear else points
    return losses, best[1], best[2]


def _measure(head: Head, views: Sequence["np.ndarray[Any, Any]"], targets: Tensor) -> tuple[float, float]:
    """Return the head's summed loss on all views, in evaluation mode, and what to divide it by."""
    device = next((tensor.device for tensor in head.state_dict().values()), targets.device)
    found = [answers(head, view, targets, device) for view in views]
    return sum(total for total, _, _ in found), sum(count for _, count, _ in found)


@torch.no_grad()
def answers(
    head: Head, values: "np.ndarray[Any, Any]", targets: Tensor, device: torch.device
) -> tuple[float, float, list[Any]]:
    """Return the head's summed loss, in evaluation mode, what to divide it by, and its outputs on the CPU, in parts."""
    training, parts = head.training, []
    head.eval()
    total = count = 0.0
    for start in range(0, len(targets), CHUNK):
        part = torch.from_numpy(np.array(values[start : start + CHUNK])).to(device)
        outputs = head(as_features(head, part))
        found = head.loss(outputs, targets[start : start + CHUNK].to(device))
        total, count = total + float(found[0]), count + float(found[1])
        parts.append(each(outputs, Tensor.cpu))
    head.train(training)
    return total, count, parts


def _refuse_non_finite(views: Sequence["np.ndarray[Any, Any]"], where: Callable[[int], str]) -> None:
    bad = sorted({int(row) for view in views for row in np.flatnonzero(~np.isfinite(view).all(1))})
    if bad:
        some = listing([where(row) for row in bad[:3]]) + (", ..." if len(bad) > 3 else "")
        raise RunError(
            f"the backbone's features of {len(bad):,} of {len(views[0]):,} examples of train are not finite: {some}; "
            "look at these inputs, or leave them out"
        )
