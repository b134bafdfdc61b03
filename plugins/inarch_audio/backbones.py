"""What all audio backbones have in common: waveforms in, tokens with places in seconds out.

Shapes: B batch, D features, N samples, T tokens (frames).
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from inarch import Backbone, Features, Window
from inarch_audio.augment import Augment
from inarch_audio.pipeline import Pipeline
from inarch_audio.transforms import Evaluation, training_transform


class AudioBackbone(Backbone):
    """An example is `waveform` (N,), `samples` () of it that are no padding, and `clock` (2,).

    `clock` tells where the example lies in the recording: seconds at its first sample, and seconds of the recording
    for one second of it (other than 1 where training changed the speed). Training may add `masks` (M, 3) of
    SpecAugment: 0 for time or 1 for frequency, then start and end as shares of the length or of the bands.
    """

    domain = "audio"
    provides = frozenset({"pooled", "tokens", "units"})

    def __init__(self, options: Mapping[str, Any], pipeline: Pipeline, augment: Augment) -> None:
        super().__init__()
        self.resolved = {**options, "sample_rate": pipeline.sample_rate, "duration": pipeline.duration,
                         "overlap": pipeline.overlap, "augment": augment}  # fmt: skip
        self.pipeline, self.augment = pipeline, augment

    @abstractmethod
    def frames(self, samples: Tensor) -> Tensor:
        """Return how many tokens so many samples make, of the same shape."""

    @property
    @abstractmethod
    def hop(self) -> int:
        """Samples from one token to the next."""

    def transform(self, training: bool) -> Callable[[Any], dict[str, Tensor]]:
        """Return the pipeline: decode, resample, mix down, cut or pad; with `training` with random changes."""
        return training_transform(self.pipeline, self.augment) if training else Evaluation(self.pipeline)

    def windows(self, raw: Any) -> Sequence[Window]:
        """Return overlapping windows of `duration` seconds, the last one ending with the recording."""
        return self.pipeline.windows(raw)

    def measure(self, raw: Any) -> int | None:
        """Return the number of tokens that a recording's header promises, or None where all have the same."""
        samples = self.pipeline.measure(raw)
        return None if samples is None else max(1, int(self.frames(torch.tensor(samples))))

    def length(self, example: dict[str, Tensor]) -> int:
        """Return the number of tokens."""
        return max(1, int(self.frames(example["samples"])))

    def collate(self, examples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Pad waveforms at their end with silence, which no feature may depend on."""
        batch = super().collate([{k: v for k, v in e.items() if k not in ("waveform", "masks")} for e in examples])
        batch["waveform"] = nn.utils.rnn.pad_sequence([e["waveform"] for e in examples], batch_first=True)
        if "masks" in examples[0]:
            batch["masks"] = torch.stack([e["masks"] for e in examples])
        return batch

    def features(self, tokens: Tensor, samples: Tensor, clock: Tensor) -> Features:
        """Return features of tokens (B, T, D), of which real ones count: `pooled` is their mean, a unit is a token."""
        count = self.frames(samples).clamp(1, tokens.shape[1])
        numbers = torch.arange(tokens.shape[1], device=tokens.device)
        mask = numbers < count[:, None]
        pooled = (tokens.float() * mask[..., None]).sum(1) / count[:, None]
        return Features(pooled, tokens, mask, units=torch.where(mask, numbers, -1), places=self._places(mask, clock))

    def _places(self, mask: Tensor, clock: Tensor) -> Tensor:
        """Return where tokens lie (B, T, 2), in seconds of the recording: each from its own hop to the next."""
        seconds = self.hop / self.pipeline.sample_rate
        numbers = torch.arange(mask.shape[1], device=mask.device, dtype=torch.float32)
        edges = torch.stack([numbers, numbers + 1], -1) * seconds
        return (clock[:, None, None, 0] + edges * clock[:, None, None, 1]).clamp_min(0) * mask[..., None]
