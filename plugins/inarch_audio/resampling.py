"""Resampling by the kernels of `torchaudio.transforms.Resample`: windowed sincs, computed in double precision.

They are applied as products of matrices, without the weights that are zero, which takes a seventh to a half of the time
of torchaudio's convolution, and to a stretch as if the recording were resampled whole.
Shapes: N samples.
"""

from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor
from torchaudio.transforms import Resample

_TERMS = 1000
_COLUMNS = 32  # measured: 16 to 64 are alike


@lru_cache(maxsize=1024)
def ratio(rate: int, wanted: int) -> Fraction:
    """Return samples before to samples after, in small numbers, for the kernels are as large as these.

    Rates that have no small ratio are taken as the nearest one, off by a millionth (11,127 Hz to 16,000) or, beside a
    very simple ratio, by up to one in two thousand (16,008 Hz to 16,000 is taken as 1).
    """
    exact = Fraction(rate, wanted)
    return exact.limit_denominator(min(_TERMS, max(1, int(4 * _TERMS / exact))))


def resampled_length(count: int, ratio: Fraction) -> int:
    """Return how many samples become of so many."""
    return ceil(count / ratio)


def needed(first: int, last: int, ratio: Fraction) -> tuple[int, int]:
    """Return the samples [start, end) that make samples [first, last): they reach over both ends of a recording."""
    kernel = _kernel(ratio)
    return (
        first // kernel.after * kernel.before - kernel.margin,
        -(-last // kernel.after) * kernel.before + kernel.margin,
    )


def apply(samples: Tensor, first: int, last: int, ratio: Fraction) -> Tensor:
    """Return resampled samples [first, last), made of those that `needed` says."""
    kernel = _kernel(ratio)
    blocks = samples.unfold(0, kernel.before + 2 * kernel.margin, kernel.before)
    resampled = samples.new_empty(len(blocks), kernel.after)
    for rows, columns, part in kernel.parts:
        resampled[:, columns] = blocks[:, rows] @ part
    offset = first // kernel.after * kernel.after
    return resampled.view(-1)[first - offset : last - offset]


def resample(samples: Tensor, ratio: Fraction) -> Tensor:
    """Return samples (N,) as ceil(N / ratio) samples."""
    if ratio == 1:
        return samples
    last = resampled_length(len(samples), ratio)
    start, end = needed(0, last, ratio)
    return apply(torch.nn.functional.pad(samples, (-start, end - len(samples))), 0, last, ratio)


class _Kernel(NamedTuple):
    """What makes a block of samples after of the samples before and a margin at both ends."""

    before: int
    after: int
    margin: int
    parts: list[tuple[slice, slice, Tensor]]
    """Which samples before make which after, by which matrix; all others have no weight."""


@lru_cache(maxsize=128)  # a few kilobytes each, for usual rates and speeds
def _kernel(ratio: Fraction) -> _Kernel:
    """Return the kernel of a ratio: its least block several times if that is short, in parts if it is long."""
    module = Resample(ratio.numerator, ratio.denominator)
    once, margin, times = module.kernel[:, 0].t(), module.width, -(-_COLUMNS // ratio.denominator)
    before, after = times * ratio.numerator, times * ratio.denominator
    whole = once.new_zeros(before + 2 * margin, after)
    for time in range(times):
        whole[time * ratio.numerator :, time * ratio.denominator :][: len(once), : ratio.denominator] = once
    parts = []
    for columns in torch.arange(after).tensor_split(max(1, after // _COLUMNS)):
        place = slice(int(columns[0]), int(columns[-1]) + 1)
        used = whole[:, place].any(1).nonzero()
        rows = slice(int(used[0]), int(used[-1]) + 1)
        parts.append((rows, place, whole[rows, place].contiguous()))
    return _Kernel(before, after, margin, parts)
