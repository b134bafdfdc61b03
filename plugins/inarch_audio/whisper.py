"""The encoder of Whisper as a backbone. Shapes: B batch, D features, F frames, K mel bands, N samples, T tokens."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from inarch import Features, RecipeError, load_strictly, quiet
from inarch_audio.augment import Augment
from inarch_audio.layer_weights import LayerWeights
from inarch_audio.pipeline import Pipeline
from inarch_audio.pretrained import Source, without_head
from inarch_audio.spec_augment import blank
from inarch_audio.transformers_network import TransformersNetwork
from inarch_audio.waveform_models import check_rate

_RATE, _WINDOW, _HOP = 16000, 400, 160  # Hz; samples of a frame, and from one to the next
_POSITIONS = "embed_positions.weight"


class WhisperBackbone(TransformersNetwork):
    """Waveforms of `duration` seconds, filled up with silence, which the encoder hears as it was trained to.

    Only as many positions are kept as `duration` needs: cost grows with it, and the weights are the same.
    """

    before = (("model.conv1.", "model.conv2."),)
    blocks = "model.layers."

    def __init__(
        self,
        source: Source,
        options: dict[str, Any],
        *,
        sample_rate: int,
        duration: float | None,
        overlap: float,
        augment: Augment,
    ) -> None:
        check_rate(options["model"], sample_rate, _RATE)
        config = copy.deepcopy(source.config)
        config.max_source_positions = _positions(duration, 2 * _HOP, config.max_source_positions)
        config.use_cache = False  # of the decoder, which is not there
        config.encoder_layerdrop = 0.0  # blocks without a gradient cannot be trained on several devices
        pipeline = Pipeline(sample_rate=sample_rate, duration=duration, overlap=overlap, pad="end")
        super().__init__(options, pipeline, augment)
        with quiet():
            self.model = WhisperEncoder(config)
        table = self.model.embed_positions  # sinusoids, which nothing should train
        positions = table.weight.detach()
        del table.weight
        table.register_buffer("weight", positions)
        self.log_mel = WhisperLogMel(config.num_mel_bins)
        self.num_features = config.d_model
        self.layer_weights = LayerWeights(config.encoder_layers + 1) if options["layers"] == "weighted" else None
        self.fresh = frozenset({"layer_weights.weights"} if self.layer_weights else ())
        self.source = source
        self.describe()

    @property
    def hop(self) -> int:
        """Samples from one token to the next."""
        return 2 * _HOP

    def frames(self, samples: Tensor) -> Tensor:
        """Return how many tokens so many samples touch, of the same shape."""
        return -(-samples // self.hop)

    def load_weights(self) -> None:
        """Load the weights that the options name, less decoder and heads, and positions beyond `duration`."""
        if self.resolved["weights"] == "none":
            return
        state, origin = self.source.state(self.resolved["weights"])
        state = without_head(without_head(state, "model."), "encoder.")
        if _POSITIONS in state:
            state[_POSITIONS] = state[_POSITIONS][: self.model.config.max_source_positions]
        load_strictly(self.model, state, origin)

    def forward(self, **batch: Tensor) -> Features:
        """Return features of `waveform` (B, N), `samples` (B,), `clock` (B, 2) and SpecAugment's `masks` (B, M, 3)."""
        values = self.log_mel(batch["waveform"])
        if "masks" in batch:
            values = blank(values, batch["masks"], values.mean((1, 2), keepdim=True))
        states = self.states(values)
        tokens = self.layer_weights(states) if self.layer_weights else states[-1]
        return self.features(tokens, batch["samples"], batch["clock"])


class WhisperLogMel(nn.Module):
    """Waveforms (B, N) to spectrograms (B, K, F), equal to those of transformers' WhisperFeatureExtractor.

    Always float32, also where the network computes in half precision.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        filters = mel_filter_bank(_WINDOW // 2 + 1, bands, 0.0, _RATE / 2, _RATE, norm="slaney", mel_scale="slaney")
        self.register_buffer("filters", torch.from_numpy(filters).float().T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return what lies up to 80 dB below the loudest of each example, scaled to about -1..1."""
        with torch.autocast(waveform.device.type, enabled=False):
            waves = torch.stft(waveform.float(), _WINDOW, _HOP, window=self.window, return_complex=True)[..., :-1]
            power = self.filters @ (waves.real.square() + waves.imag.square())
            levels = power.clamp_min(1e-10).log10()
            return (torch.maximum(levels, levels.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0


def _positions(duration: float | None, hop: int, most: int) -> int:
    """Return the positions that `duration` needs, of `hop` samples each."""
    step = hop / _RATE
    if duration is None or not 0.1 <= duration <= most * step:
        raise RecipeError(
            f"backbone.duration: whisper hears recordings of one length, expected 0.1 to {most * step:g} seconds, "
            f"found {'none' if duration is None else format(duration, 'g')}"
        )
    count = round(duration / step)
    if abs(count * step - duration) > 1e-6:
        raise RecipeError(
            f"backbone.duration: whisper hears steps of {step:g} seconds, found {duration:g}; take {count * step:g}"
        )
    return count
