"""What a backbone is to hear, and which stretches of a long recording it hears one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inarch import Window
from inarch_audio.recordings import read_header


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The options that make a waveform of a recording."""

    sample_rate: int
    """Hz, of the waveform; recordings at other rates are resampled."""
    duration: float | None
    """Seconds that go through the backbone at once; None: each recording whole."""
    overlap: float
    """Share of a window that it has in common with the next one, 0 to below 1."""
    pad: str
    """Where silence fills a shorter recording up to `duration`: `end`, `center`, or `none` if the backbone takes any."""
    least: int = 1
    """Samples that the backbone needs; shorter recordings are filled up at their end."""
