"""What a run answered to each example of a split, as its metrics see it: written beside the predictions, read again to
compare runs on the same examples.

Shapes: N examples, S sums of a metric.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from inarch import intervals
from inarch.checkpoint import write_atomically
from inarch.errors import RunError

_STATES = "states."


@dataclass(frozen=True)
class Answers:
    """The answers to a split, in the order of its rows."""

    rows: Tensor
    """Numbers of the rows (N,)."""
    groups: Tensor | None
    """The number of each example's group (N,), where the data has groups."""
    scores: Tensor | None
    """What metrics compare with `targets`, first dimension N; None for a head that is measured by its predictions."""
    targets: Tensor | None
    """Encoded targets likewise."""
    states: Mapping[str, Tensor] = field(default_factory=dict)
    """For such a head, each metric's sums after each example alone (N, S)."""

    def select(self, places: Tensor) -> "Answers":
        """Return the answers at some places."""
        groups, scores, targets = (
            None if values is None else values[places] for values in (self.groups, self.scores, self.targets)
        )
        return Answers(
            self.rows[places], groups, scores, targets, {name: state[places] for name, state in self.states.items()}
        )

    def value(self, name: str, metric: Any) -> float:
        """Return a metric, which the recipe calls `name`, of all examples."""
        if self.scores is not None:
            return intervals.compute(metric, self.scores, self.targets)
        return intervals.from_state(metric, self._states(name).sum(0))

    def resampled(self, name: str, metric: Any, drawn: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Return the metric of each draw of examples."""
        if self.scores is not None:
            return np.array(intervals.resampled(metric, self.scores, self.targets, drawn))
        states = self._states(name)
        return np.array([intervals.from_state(metric, states[draw].sum(0)) for draw in drawn])

    def _states(self, name: str) -> np.ndarray[Any, Any]:
        if name not in self.states:
            raise RunError(f"the metric '{name}' compares predictions with each other, so runs cannot be paired by it")
        found: np.ndarray[Any, Any] = self.states[name].numpy()
        return found


def collect(
    rows: Sequence[int], groups: Sequence[Hashable] | None, compared: Any, targets: Any, metrics: Mapping[str, Any]
) -> Answers:
    """Return the answers of an evaluated split; see `inarch.intervals.estimate` for `compared` and `targets`."""
    numbers: dict[Hashable, int] = {}
    numbered = None if groups is None else torch.tensor([numbers.setdefault(group, len(numbers)) for group in groups])
    if isinstance(compared, Tensor):
        return Answers(torch.tensor(rows), numbered, compared, targets)
    additive = {name: metric for name, metric in metrics.items() if not hasattr(metric, "resampled")}
    states = {name: torch.from_numpy(intervals.states(metric, compared, targets)) for name, metric in additive.items()}
    return Answers(torch.tensor(rows), numbered, None, None, states)


def write(path: Path, answers: Answers) -> None:
    """Write answers as safetensors: `rows`, `groups`, `scores`, `targets`, or `states.METRIC`, of what there is."""
    tensors = {"rows": answers.rows, "groups": answers.groups, "scores": answers.scores, "targets": answers.targets}
    tensors |= {_STATES + name: state for name, state in answers.states.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    write_atomically(path, safetensors.torch.save(known))


def read(path: Path) -> Answers:
    """Read what `write` wrote, or raise RunError."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
        states = {name.removeprefix(_STATES): tensors.pop(name) for name in list(tensors) if name.startswith(_STATES)}
        return Answers(tensors["rows"], tensors.get("groups"), tensors.get("scores"), tensors.get("targets"), states)
    except (OSError, KeyError, SafetensorError) as error:
        raise RunError(f"{path}: the answers cannot be read: {error}") from None
