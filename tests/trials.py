"""Voices of people, and what scikit-learn says of all their pairs."""

from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

random = np.random.default_rng(0)
PEOPLE = random.integers(0, 20, 200)
VOICES = (1.4 * random.normal(size=(200, 8)) + 2 * random.normal(size=(20, 8))[PEOPLE]).astype(np.float32)


def trials(times: Any = None) -> tuple[Any, Any]:
    """Return misses and false alarms at every threshold, over all pairs of voices; each drawn so many times."""
    first, second = np.triu_indices(200, 1)
    unit = VOICES / np.linalg.norm(VOICES.astype(np.float64), axis=1, keepdims=True)
    weights = None if times is None else times[first] * times[second]
    alike, cosines = PEOPLE[first] == PEOPLE[second], (unit @ unit.T)[first, second]
    alarms, found, _ = roc_curve(alike, cosines, sample_weight=weights, drop_intermediate=False)
    return 1 - found, alarms


def equal_error(times: Any = None) -> float:
    """Find where the curve crosses the diagonal."""
    misses, alarms = trials(times)
    place = np.interp(0, alarms - misses, np.arange(len(misses)))  # the difference ascends from -1 to 1
    return float(np.interp(place, np.arange(len(misses)), misses))


def least_cost(times: Any = None) -> float:
    """Find the least cost at a chance of 0.05; saying always no costs 0.05."""
    misses, alarms = trials(times)
    return float((0.05 * misses + 0.95 * alarms).min() / 0.05)
