"""What wav2vec 2.0 and its kin have in common, whichever library wrote them.

Shapes: B batch, D features, N samples, T tokens (frames).
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from inarch import Features, RecipeError
from inarch_audio.augment import Augment
from inarch_audio.backbones import AudioBackbone
from inarch_audio.layer_weights import LayerWeights
from inarch_audio.pipeline import Pipeline


class WaveformBackbone(AudioBackbone):
    """Convolutions over the waveform, then blocks of a transformer; padding never changes a token.

    Where the first convolution is followed by a group norm, its mean and variance are over time, padding included, and
    the network was trained without a mask: such networks hear examples of equal length together, without padding. So
    that many are of equal length, they hear whole tokens: the last samples, fewer than a hop, which no token sees, are
    left out.
    Those with layer norms hear the batch at once, and a mask hides the padding from convolutions and attention.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        rates: tuple[int, int],
        duration: float | None,
        overlap: float,
        augment: Augment,
        convolutions: Sequence[tuple[int, int]],
        group_norm: bool,
        epsilon: float | None,
        blocks: int,
        num_features: int,
    ) -> None:
        """`rates` (Hz): wanted and trained on; `convolutions`: kernel and stride; `epsilon`: of the waveform's norm."""
        check_rate(options["model"], *rates)
        if augment.time_masks or augment.frequency_masks:
            raise RecipeError(
                "backbone.augment: time_masks and frequency_masks blank parts of a spectrogram, but "
                f"{options['model']} hears the waveform itself; leave them out"
            )
        self._convolutions, self._group_norm, self._epsilon = tuple(convolutions), group_norm, epsilon
        least = 1
        for kernel, stride in reversed(self._convolutions):
            least = (least - 1) * stride + kernel
        if duration is not None and round(duration * rates[0]) < least:
            raise RecipeError(
                f"backbone.duration: {options['model']} needs at least {least / rates[0]:g} seconds, found {duration:g}"
            )
        pipeline = Pipeline(sample_rate=rates[0], duration=duration, overlap=overlap, pad="none", least=least)
        super().__init__(options, pipeline, augment)
        self.num_features = num_features
        self.layer_weights = LayerWeights(blocks + 1) if options["layers"] == "weighted" else None
        self.fresh = frozenset({"layer_weights.weights"} if self.layer_weights else ())

    @abstractmethod
    def encode(self, waveform: Tensor, samples: Tensor | None) -> Sequence[Tensor]:
        """Return what enters the first block and what each block says, (B, T, D) each; the last one is normalised.

        Of waveforms (B, N) so many samples (B,) are real; None: all. Without weights of layers the last one will do.
        """

    def frames(self, samples: Tensor) -> Tensor:
        """Return how many tokens so many samples make, of the same shape."""
        frames = samples.clamp_min(self.pipeline.least)
        for kernel, stride in self._convolutions:
            frames = (frames - kernel).div(stride, rounding_mode="floor") + 1
        return frames

    @property
    def hop(self) -> int:
        """Samples from one token to the next."""
        hop = 1
        for _, stride in self._convolutions:
            hop *= stride
        return hop

    def forward(self, **batch: Tensor) -> Features:
        """Return features of `waveform` (B, N), `samples` (B,) and `clock` (B, 2)."""
        samples, waveform = batch["samples"].clamp_min(self.pipeline.least), batch["waveform"]
        if self._group_norm:
            samples = (self.frames(samples) - 1) * self.hop + self.pipeline.least
        if self._epsilon is not None:
            waveform = normalise(waveform, samples, self._epsilon)
        if self._group_norm:
            tokens = self._by_length(waveform, samples)
        else:
            full = bool((samples == waveform.shape[1]).all())
            tokens = self._join(self.encode(waveform, None if full else samples))
        return self.features(tokens, samples, batch["clock"])

    def _join(self, states: Sequence[Tensor]) -> Tensor:
        return self.layer_weights(states) if self.layer_weights else states[-1]

    def _by_length(self, waveform: Tensor, samples: Tensor) -> Tensor:
        """Return tokens (B, T, D) of groups of equal length, zeros after the last one."""
        width = int(self.frames(torch.tensor(waveform.shape[1])))
        parts, order = [], []
        for length in samples.unique().tolist():
            chosen = (samples == length).nonzero()[:, 0]
            tokens = self._join(self.encode(waveform[chosen, :length], None))
            parts.append(nn.functional.pad(tokens, (0, 0, 0, width - tokens.shape[1])))
            order.append(chosen)
        return torch.cat(parts).index_select(0, torch.cat(order).argsort())


def check_rate(model: str, wanted: int, trained: int) -> None:
    """Raise RecipeError if a model that was trained at one sample rate (Hz) is to hear another."""
    if wanted != trained:
        raise RecipeError(
            f"backbone.sample_rate: {model} was trained on {trained} Hz, found {wanted}; leave it out, recordings at "
            "other rates are resampled"
        )


def normalise(waveform: Tensor, samples: Tensor, epsilon: float) -> Tensor:
    """Return waveforms (B, N) with mean 0 and variance 1 over their real samples (B,), and zeros after them."""
    real = torch.arange(waveform.shape[1], device=waveform.device) < samples[:, None]
    count = samples[:, None]
    centred = (waveform - (waveform * real).sum(1, keepdim=True) / count) * real
    return centred * (centred.square().sum(1, keepdim=True) / count + epsilon).rsqrt()
