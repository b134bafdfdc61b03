"""How training recordings are varied. Light: imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes to training recordings. A recording longer than the backbone's `duration` is also cut at random."""

    gain: float = 0.0
    """Louder or softer by up to so many dB."""
    shift: float = 0.0
    """Later or earlier by up to so many seconds; what falls off is lost, silence takes its place."""
    speed: tuple[float, float] | None = None
    """Slowest and fastest speed, pitch included; [0.9, 1.1] is common for speech (Ko et al. 2015)."""
    noise: str | None = None
    """A folder with recordings of noise, one of which is added to each example."""
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
