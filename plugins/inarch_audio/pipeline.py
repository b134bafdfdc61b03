"""What a backbone is to hear, and which stretches of a long recording it hears one after the other."""

from dataclasses import dataclass
from typing import Any

from inarch import Window
from inarch_audio.recordings import read_header
from inarch_audio.resampling import ratio, resampled_length


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
    """Where silence fills a shorter recording up to `duration`: `end`, `center`, or `none`: the backbone takes any."""
    least: int = 1
    """Samples that the backbone needs; shorter recordings are filled up at their end."""

    @property
    def most(self) -> int | None:
        """Samples that go through the backbone at once; None: as many as there are."""
        return None if self.duration is None else round(self.duration * self.sample_rate)

    def windows(self, raw: Any) -> list[Window]:
        """Return overlapping windows of exactly `duration` seconds, the last one ending with the recording.

        None if the recording is not longer. A window is cut to windows like a recording of its length.
        """
        samples = self.samples(raw)
        if self.most is None or samples <= self.most:
            return []
        hop = max(1, round(self.most * (1 - self.overlap)))
        starts = [*range(0, samples - self.most, hop), samples - self.most]
        return [Window(raw, start / self.sample_rate, (start + self.most) / self.sample_rate) for start in starts]

    def measure(self, raw: Any) -> int | None:
        """Return how many samples of an example are no padding, or None where all go through alike long."""
        if self.pad != "none":
            return None
        samples = self.samples(raw)
        return samples if self.most is None else min(samples, self.most)

    def samples(self, raw: Any) -> int:
        """Return how many samples a whole recording has at `sample_rate`; its header tells."""
        header = read_header(raw)
        return resampled_length(header.frames, ratio(header.sample_rate, self.sample_rate))
