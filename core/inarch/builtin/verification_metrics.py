"""Metrics of verification: every pair of examples is a trial, scored by the cosine of their embeddings.

Shapes: B examples, D dimensions, K thresholds, R examples of a block.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

BINS = 1 << 20
"""Cosines are counted in so many steps between the least and the most: memory does not grow with the pairs."""
BLOCK = 4_000_000  # cosines held at once
MOST_RESAMPLED = 500_000  # pairs of a kind that intervals are made of: all up to 1,000 examples, beyond it a sample


class VerificationErrors(Metric):
    """Misses and false alarms over all pairs of examples; NaN where no pair, or every pair, is of one identity."""

    higher_is_better = False
    embeddings: list[Tensor]
    identities: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("embeddings", [], dist_reduce_fx="cat")
        self.add_state("identities", [], dist_reduce_fx="cat")

    def update(self, embeddings: Tensor, identities: Tensor) -> None:
        """Keep embeddings (B, D) of any length, and the numbers of their identities (B,)."""
        self.embeddings.append(F.normalize(embeddings.float(), dim=-1))
        self.identities.append(identities)

    def compute(self) -> Tensor:
        """Return a scalar."""
        embeddings, identities = dim_zero_cat(self.embeddings), dim_zero_cat(self.identities)
        if not _is_defined(embeddings, identities):
            return torch.tensor(torch.nan)
        alike, other = torch.zeros(2, BINS, dtype=torch.float64, device=embeddings.device)
        for _, bins, later, same in _blocks(embeddings, identities):
            alike += torch.bincount(bins[later & same], minlength=BINS)
            other += torch.bincount(bins[later & ~same], minlength=BINS)
        everywhere = torch.arange(BINS + 1, device=embeddings.device)
        return self.error(_share(alike, everywhere), 1 - _share(other, everywhere)).float()

    def resampled(self, embeddings: Tensor, identities: Tensor, draws: Sequence[Any]) -> list[float]:
        """Return the metric of each draw, an array of example numbers; copies of one example are no pair.

        A pair counts as often as both of its examples were drawn together. It is scored once for all draws.
        """
        if not _is_defined(embeddings, identities):
            return [torch.nan] * len(draws)
        alike, other = _sample(F.normalize(embeddings.float(), dim=-1), identities)
        # Misses change at pairs that are alike alone: the corners of the curve lie before and after their steps. Above
        # all pairs, of whatever kind, there is no alarm any more.
        ends = alike[0].new_tensor([0, BINS])
        corners = torch.cat([ends, alike[0], alike[0] + 1]).sort().values
        places = [torch.searchsorted(bins, corners) for bins, _, _ in (alike, other)]
        return [self._of_draw(torch.from_numpy(draw), len(identities), (alike, other), places) for draw in draws]

    def _of_draw(self, draw: Tensor, examples: int, kinds: Sequence[Any], places: Sequence[Tensor]) -> float:
        times = torch.bincount(draw, minlength=examples).double()
        misses, passed = (
            _share(times[first] * times[second], at) for (_, first, second), at in zip(kinds, places, strict=True)
        )
        return float(self.error(misses, 1 - passed))

    @abstractmethod
    def error(self, misses: Tensor, alarms: Tensor) -> Tensor:
        """Return the metric from the shares of misses and of false alarms (K,) at ascending thresholds."""


class EqualErrorRate(VerificationErrors):
    """The rate at which both errors are equal, on the straight line between the two thresholds beside it."""

    def error(self, misses: Tensor, alarms: Tensor) -> Tensor:
        """Return a scalar, 0 to 1."""
        after = int((misses >= alarms).to(torch.uint8).argmax())  # the first; at the highest threshold all is missed
        lack, excess = (alarms - misses)[after - 1], (misses - alarms)[after]
        return misses[after - 1] + (misses[after] - misses[after - 1]) * lack / (lack + excess)


class MinimumDetectionCost(VerificationErrors):
    """The cost at the best threshold, as a share of that of saying always yes or always no, whichever is less."""

    def __init__(self, p_target: float, c_miss: float, c_false_alarm: float) -> None:
        super().__init__()
        self.of_misses, self.of_alarms = c_miss * p_target, c_false_alarm * (1 - p_target)

    def error(self, misses: Tensor, alarms: Tensor) -> Tensor:
        """Return a scalar, 0 to 1."""
        return (self.of_misses * misses + self.of_alarms * alarms).min() / min(self.of_misses, self.of_alarms)


def _is_defined(embeddings: Tensor, identities: Tensor) -> bool:
    return all(_count(identities)) and bool(embeddings.isfinite().all())


def _count(identities: Tensor) -> tuple[int, int]:
    """Return how many pairs are of one identity, and how many of two."""
    sizes, examples = torch.bincount(identities), len(identities)
    alike = int((sizes * (sizes - 1)).sum()) // 2
    return alike, examples * (examples - 1) // 2 - alike


def _blocks(embeddings: Tensor, identities: Tensor) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Yield the number of a first example, and of R examples with all from the first on (R, B - first) three things.

    The step of their cosine, whether the second example is a later one, and whether both are of one identity.
    """
    size = max(1, BLOCK // len(embeddings))
    starts = range(0, len(embeddings) - 1, size)
    least, most = torch.tensor(torch.inf), torch.tensor(-torch.inf)
    for start in starts:
        cosines, later = _cosines(embeddings, start, size)
        least, most = torch.minimum(least, cosines[later].min()), torch.maximum(most, cosines[later].max())
    steps = (BINS - 1) / (most - least).clamp_min(torch.finfo(most.dtype).eps)
    for start in starts:
        cosines, later = _cosines(embeddings, start, size)
        bins = ((cosines - least) * steps).clamp(0, BINS - 1).long()
        yield start, bins, later, identities[start : start + size, None] == identities[start:]


def _cosines(embeddings: Tensor, start: int, size: int) -> tuple[Tensor, Tensor]:
    cosines = embeddings[start : start + size] @ embeddings[start:].T
    return cosines, torch.ones_like(cosines, dtype=torch.bool).triu(1)


def _sample(embeddings: Tensor, identities: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return step, first and second example of pairs of one identity, and of pairs of two, in order of their steps."""
    shares = [MOST_RESAMPLED / number for number in _count(identities)]
    random = torch.Generator().manual_seed(0)
    found: list[list[Tensor]] = [[], []]
    for start, bins, later, same in _blocks(embeddings, identities):
        for kind, share, wanted in zip(found, shares, (later & same, later & ~same), strict=True):
            chosen = wanted if share >= 1 else wanted & (torch.rand(wanted.shape, generator=random) < share)
            kind.append(torch.stack([bins[chosen], *(chosen.nonzero().T + start)]))
    joined = (torch.cat(kind, 1) for kind in found)
    return [tuple(kind[:, kind[0].argsort()]) for kind in joined]


def _share(weights: Tensor, at: Tensor) -> Tensor:
    """Return which share of the weights lies before each place; NaN if all are 0."""
    below = F.pad(weights.cumsum(0), (1, 0))
    return below[at] / below[-1]
