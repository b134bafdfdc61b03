"""How training recordings are varied. Light: imports no torch."""

from dataclasses import dataclass
from math import inf
from typing import Annotated

from inarch import Address


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes to training recordings. What is longer than the backbone's `duration` is also cut at random."""

    gain: float = 0.0
    """Louder or softer by up to so many dB."""
    shift: float = 0.0
    """Later or earlier by up to so many seconds, at most half of the recording; silence takes the place, and what falls
    off is lost. With `duration: null` nothing falls off: the recording gets longer."""
    speed: tuple[float, float] | None = None
    """Slowest and fastest speed, pitch included, in hundredths; [0.9, 1.1] is common for speech (Ko et al. 2015)."""
    noise: Annotated[str, Address()] | None = None
    """A folder with recordings of noise; a random stretch of one is added, repeated where it is short."""
    snr: tuple[float, float] = (5.0, 20.0)
    """Lowest and highest signal-to-noise ratio, in dB."""
    noise_probability: float = 0.5
    """Share of examples that noise is added to."""
    time_masks: tuple[int, float] | None = None
    """SpecAugment (arXiv 1904.08779): how many stretches of time are blanked, each up to which share of the length."""
    frequency_masks: tuple[int, float] | None = None
    """SpecAugment: how many bands of frequency are blanked, each up to which share of the bands."""
    mixup: float = 0.0
    """Alpha of mixup (arXiv 1710.09412), which blends two recordings; 0 is off, 0.2 mild."""

    def __post_init__(self) -> None:
        for name in ("gain", "shift", "mixup"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} must be 0 (off) or more, not {getattr(self, name)}")
        if self.speed and not 0.5 <= self.speed[0] <= self.speed[1] <= 2:
            raise ValueError(f"speed must be two factors, 0.5 <= slowest <= fastest <= 2, not {list(self.speed)}")
        if not -inf < self.snr[0] <= self.snr[1] < inf:
            raise ValueError(f"snr must be two ratios in dB, lowest <= highest, not {list(self.snr)}")
        if not 0 <= self.noise_probability <= 1:
            raise ValueError(f"noise_probability must be 0 to 1, not {self.noise_probability}")
        for name in ("time_masks", "frequency_masks"):
            masks = getattr(self, name)
            if masks and not (masks[0] >= 1 and 0 < masks[1] <= 1):
                raise ValueError(f"{name} must be [how many >= 1, widest share above 0 to 1], not {list(masks)}")
