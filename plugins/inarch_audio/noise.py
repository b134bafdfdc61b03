"""Recordings of noise, one of which is laid under another recording. Shapes: N samples."""

import random

import torch
from torch import Tensor

from inarch import RecipeError, locate
from inarch_audio.recordings import read, read_header
from inarch_audio.resampling import ratio, resampled_length

SUFFIXES = frozenset({".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"})
_SILENT = 1e-12  # mean square, -120 dB: below 20 bits


class Noise:
    """The recordings below a folder, listed once and in order, as stretches of any length at one sample rate."""

    def __init__(self, folder: str, sample_rate: int) -> None:
        try:
            found = locate(folder, RecipeError)
        except RecipeError as error:
            raise RecipeError(f"backbone.augment.noise: {error}") from None
        self.files = sorted(str(path) for path in found.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not self.files:
            endings = ", ".join(sorted(SUFFIXES))
            raise RecipeError(
                f"backbone.augment.noise: expected a folder with recordings ({endings}), found none in {folder}"
            )
        self.sample_rate = sample_rate

    def __call__(self, count: int) -> Tensor:
        """Return (count,) of a random recording from a random place on, repeated where it is shorter."""
        file = random.choice(self.files)
        try:
            header = read_header(file)
            there = resampled_length(header.frames, ratio(header.sample_rate, self.sample_rate))
            if there >= count:
                first = random.randint(0, there - count)
                return read(file, self.sample_rate, first / self.sample_rate, (first + count) / self.sample_rate)
            first = random.randrange(there)
            return read(file, self.sample_rate).repeat(-(-(count + first) // there))[first : first + count]
        except ValueError as error:
            raise ValueError(f"the noise {file}: {error}") from None


def add_noise(waveform: Tensor, noise: Tensor, decibels: float) -> Tensor:
    """Return waveform (N,) with noise (N,) at a signal-to-noise ratio in dB; where one is silent there is no ratio."""
    signal, added = (float(part.double().square().mean()) for part in (waveform, noise))
    if min(signal, added) < _SILENT:
        return waveform
    return torch.add(waveform, noise, alpha=(signal / added) ** 0.5 * 10 ** (-decibels / 20))
