"""Resampling by the kernels of `torchaudio.transforms.Resample`: windowed sincs, computed in double precision.

They are applied as one product of matrices, which takes a seventh of the time of torchaudio's convolution (8 to 16 kHz;
48 to 16 kHz: two fifths; 44.1 to 16 kHz: the same), and to a stretch as if the recording were resampled whole.
Shapes: N samples.
"""

from fractions import Fraction
from functools import lru_cache
from math import ceil

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
    _, before, after, margin = _kernel(ratio)
    return first // after * before - margin, -(-last // after) * before + margin


def apply(samples: Tensor, first: int, last: int, ratio: Fraction) -> Tensor:
    """Return resampled samples [first, last), made of those that `needed` says."""
    kernel, before, after, _ = _kernel(ratio)
    blocks = samples.unfold(0, kernel.shape[0], before) @ kernel
    offset = first // after * after
    return blocks.reshape(-1)[first - offset : last - offset].contiguous()


def resample(samples: Tensor, ratio: Fraction) -> Tensor:
    """Return samples (N,) as ceil(N / ratio) samples."""
    if ratio == 1:
        return samples
    last = resampled_length(len(samples), ratio)
    start, end = needed(0, last, ratio)
    return apply(torch.nn.functional.pad(samples, (-start, end - len(samples))), 0, last, ratio)


@lru_cache(maxsize=128)  # a few kilobytes each, for usual rates and speeds
def _kernel(ratio: Fraction) -> tuple[Tensor, int, int, int]:
    """Return the kernel (taps, samples after), samples before and after in a block, and the margin at both its ends.

    A block is the least that repeats, or several of it: products with few columns are slow.
    """
    before, after = ratio.numerator, ratio.denominator
    module = Resample(before, after)
    once, margin, times = module.kernel[:, 0].t(), module.width, -(-_COLUMNS // after)
    kernel = once.new_zeros(times * before + 2 * margin, times * after)
    for time in range(times):
        kernel[time * before :, time * after :][: once.shape[0], :after] = once
    return kernel, times * before, times * after, margin
