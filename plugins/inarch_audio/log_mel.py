"""Log-mel spectrograms of batches, on the device. Shapes: B batch, N samples, F frames, M masks, K mel bands."""

import math
import warnings

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from inarch import RecipeError
from inarch_audio.mel_power import MelPower
from inarch_audio.spec_augment import blank

_FLOOR = 1e-7  # power that counts as silence: the step of 16-bit recordings has about 1e-9 of full scale
_LONGEST = 4  # times the window, as a power of two: how far a Fourier transform may be filled up with zeros


class LogMel(nn.Module):
    """Waveforms (B, N) in -1..1 to (natural logarithm of the power in mel bands - mean) / std, (B, K, F).

    Frame i is centred on sample i x hop; outside the waveform is silence. Always float32, also where the network
    computes in half precision: the logarithm of a quiet band needs its range.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        n_mels: int,
        window: float,
        hop: float,
        f_min: float,
        f_max: float,
        mean: float,
        std: float,
    ) -> None:
        super().__init__()
        length, self.hop = round(window * sample_rate), round(hop * sample_rate)
        if not 1 <= self.hop <= length:
            raise RecipeError(f"hop: expected one sample or more and no more than the window ({window} s), found {hop}")
        if not 0 <= f_min < f_max <= sample_rate / 2:
            raise RecipeError(
                f"f_min, f_max: expected 0 <= f_min < f_max <= {sample_rate / 2:g} Hz, half of sample_rate; "
                f"found {f_min:g} and {f_max:g}"
            )
        size = _transform_size(length, sample_rate, n_mels, f_min, f_max)
        self.power = MelPower(sample_rate, size, length, self.hop, n_mels=n_mels, f_min=f_min, f_max=f_max)
        self.mean, self.std = mean, std

    def frames(self, samples: int) -> int:
        """Return how many frames so many samples make."""
        return -(-samples // self.hop)

    def forward(self, waveform: Tensor, masks: Tensor | None = None) -> Tensor:
        """Return (B, K, F); `masks` (B, M, 3) as AudioBackbone says: what they cover becomes the mean (SpecAugment)."""
        with torch.autocast(waveform.device.type, enabled=False):
            power = self.power(waveform.float())[..., : self.frames(waveform.shape[1])]
            values = (power.clamp_min(_FLOOR).log() - self.mean) / self.std
        return values if masks is None else blank(values, masks, 0.0)

    @property
    def silence(self) -> float:
        """The value of a band in which there is nothing."""
        return (math.log(_FLOOR) - self.mean) / self.std


def _transform_size(length: int, sample_rate: int, n_mels: int, f_min: float, f_max: float) -> int:
    """Return the smallest power of two that holds the window and leaves no mel band without a frequency."""
    least = 1 << (length - 1).bit_length()
    for size in (least << doubling for doubling in range(_LONGEST.bit_length())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torchaudio, about empty bands
            weights = melscale_fbanks(size // 2 + 1, f_min, f_max, n_mels, sample_rate)
        if bool((weights.amax(0) > 0).all()):
            return size
    raise RecipeError(
        f"n_mels: {n_mels} bands between {f_min:g} and {f_max:g} Hz are narrower than a window of {length} samples "
        "tells apart; take fewer bands or a longer window"
    )
