"""Recordings to tensors, in loader workers; only the needed seconds of a file are decoded.

Shapes: N samples, M masks. Everything random comes from Python's global generator.
"""

import random
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, inf
from typing import Any

import torch
from torch import Tensor

from inarch_audio.augment import Augment
from inarch_audio.noise import Noise, add_noise
from inarch_audio.pipeline import Pipeline
from inarch_audio.recordings import read, start_of
from inarch_audio.resampling import resample

Example = dict[str, Tensor]
_AS_IT_IS = Fraction(1)


class Evaluation:
    """A whole recording or one of its windows, filled up as the backbone needs it. What is served is this."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __call__(self, raw: Any) -> Example:
        """Return `waveform` (N,), `samples` () and `clock` (2,), as `AudioBackbone` describes them."""
        waveform = read(raw, self.pipeline.sample_rate)
        if self.pipeline.most is not None and len(waveform) > self.pipeline.most:
            seconds = len(waveform) / self.pipeline.sample_rate
            raise ValueError(f"has {seconds:.3f} s, and {self.pipeline.duration} s go through at once: use its windows")
        return fitted(waveform, self.pipeline, start_of(raw))


class Training:
    """A random stretch and the random changes of `Augment`: speed, noise, gain, shift, SpecAugment, in this order."""

    def __init__(self, pipeline: Pipeline, augment: Augment) -> None:
        self.pipeline, self.augment = pipeline, augment
        self.noise = None if augment.noise is None else Noise(augment.noise, pipeline.sample_rate)

    def __call__(self, raw: Any) -> Example:
        """Return `waveform` (N,), `samples` (), `clock` (2,), and with SpecAugment `masks` (M, 3)."""
        augment, rate = self.augment, self.pipeline.sample_rate
        pace = self._pace(raw)
        start, end = self._stretch(raw, pace)
        waveform = resample(read(raw, rate, start, end), pace)[: self.pipeline.most]
        if self.noise is not None and random.random() < augment.noise_probability:
            waveform = add_noise(waveform, self.noise(len(waveform)), random.uniform(*augment.snr))
        if augment.gain:
            waveform = waveform * 10 ** (random.uniform(-augment.gain, augment.gain) / 20)
        most = min(augment.shift * rate, len(waveform) / 2)
        shift = round(random.uniform(-most, most)) if augment.shift else 0
        example = fitted(waveform, self.pipeline, start_of(raw) + start, pace, shift)
        if augment.time_masks or augment.frequency_masks:
            example["masks"] = torch.tensor(list(_masks(augment)))
        return example

    def _pace(self, raw: Any) -> Fraction:
        """Return a random speed in hundredths, as resampling has small kernels for; what fits is not made too long."""
        speed, most = self.augment.speed, self.pipeline.most
        if speed is None:
            return _AS_IT_IS
        drawn = random.randint(round(speed[0] * 100), round(speed[1] * 100))
        count = self.pipeline.samples(raw)
        return Fraction(max(drawn, ceil(100 * count / most)) if most is not None and count <= most else drawn, 100)

    def _stretch(self, raw: Any, pace: Fraction) -> tuple[float, float]:
        """Return start and end, in seconds, of as much of a recording as makes one example at this pace."""
        if self.pipeline.most is None:
            return 0.0, inf
        needed = ceil(self.pipeline.most * pace)
        spare = self.pipeline.samples(raw) - needed
        if spare <= 0:
            return 0.0, inf
        first = random.randint(0, spare)
        return first / self.pipeline.sample_rate, (first + needed) / self.pipeline.sample_rate


class MixedTraining(Training):
    """Training that also blends in another example, by mixup."""

    def mix(self, example: Example, partner: Example) -> tuple[Example, float]:
        """Return the blend, as long as the longer one, and the share, 0 to 1, of the first example that is in it."""
        share = random.betavariate(self.augment.mixup, self.augment.mixup)
        waveforms = [example["waveform"], partner["waveform"]]
        first, second = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        samples = torch.maximum(example["samples"], partner["samples"])
        return {**example, "waveform": torch.lerp(second, first, share), "samples": samples}, share


def training_transform(pipeline: Pipeline, augment: Augment) -> Training:
    """Return the transform for training; it has `mix` only where mixup is on."""
    return (MixedTraining if augment.mixup else Training)(pipeline, augment)


def fitted(waveform: Tensor, pipeline: Pipeline, start: float, pace: Fraction = _AS_IT_IS, shift: int = 0) -> Example:
    """Return an example of a waveform (N,) that begins `start` seconds into its recording.

    It is shifted by so many samples, within what is fixed in length; a recording of any length grows instead where
    nothing may be cut off. `samples` counts up to the end of what is no padding, silence in front of it included.
    """
    count = len(waveform)
    if pipeline.pad != "none":
        assert pipeline.most is not None
        room, place = pipeline.most, shift + ((pipeline.most - count) // 2 if pipeline.pad == "center" else 0)
        samples = min(room, place + count)
    elif pipeline.duration is None:
        room, place = count + abs(shift), max(0, shift)
        samples = room
    else:
        room, place, samples = count, shift, count
    placed = torch.nn.functional.pad(waveform, (place, max(room, pipeline.least) - place - count))
    seconds = start - place / pipeline.sample_rate * float(pace)
    return {
        "waveform": placed.contiguous(),
        "samples": torch.tensor(samples),
        "clock": torch.tensor([seconds, float(pace)]),
    }


def _masks(augment: Augment) -> Iterator[list[float]]:
    for axis, masks in enumerate((augment.time_masks, augment.frequency_masks)):
        count, widest = masks or (0, 0.0)
        for _ in range(count):
            width = random.uniform(0, widest)
            start = random.uniform(0, 1 - width)
            yield [axis, start, start + width]
