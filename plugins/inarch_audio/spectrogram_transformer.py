"""AST, the audio spectrogram transformer (arXiv 2104.01778), as a backbone.

Shapes: B batch, D features, F frames, K mel bands, N samples, T tokens (columns of patches).
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks
from transformers import ASTModel

from inarch import Features, RecipeError, WeightsError, quiet
from inarch_audio.augment import Augment
from inarch_audio.layer_weights import LayerWeights
from inarch_audio.pipeline import Pipeline
from inarch_audio.pretrained import Source, load, without_head
from inarch_audio.spec_augment import blank
from inarch_audio.transformers_network import TransformersNetwork
from inarch_audio.waveform_models import check_rate

_WINDOW, _HOP, _TRANSFORM = 0.025, 0.01, 512  # seconds of a frame, and from one to the next; samples
_MEAN, _STD = -4.2677393, 4.5689974  # of AudioSet
_PREEMPHASIS = 0.97
_POSITIONS = "embeddings.position_embeddings"


class SpectrogramTransformer(TransformersNetwork):
    """Waveforms of `duration` seconds; tokens are means over the patches of one time, `pooled` is the model's own.

    Positions that were trained are cut around their middle or interpolated to `duration`, as the paper does.
    """

    before = (("model.embeddings.",),)
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
        check_rate(options["model"], sample_rate, source.front_end.get("sampling_rate", 16000))
        config = copy.deepcopy(source.config)
        window, self._hop = round(_WINDOW * sample_rate), round(_HOP * sample_rate)
        frames = 0 if duration is None else (round(duration * sample_rate) - window) // self._hop + 1
        if frames < config.patch_size:
            least = ((config.patch_size - 1) * self._hop + window) / sample_rate
            raise RecipeError(
                f"backbone.duration: {options['model']} sees spectrograms of one length, expected at least "
                f"{least:g} seconds, found {'none' if duration is None else format(duration, 'g')}"
            )
        config.max_length = frames
        pipeline = Pipeline(sample_rate=sample_rate, duration=duration, overlap=overlap, pad="end")
        super().__init__(options, pipeline, augment)
        with quiet():
            self.model = ASTModel(config)
        self._rows, self._columns = self.model.embeddings.get_shape(config)
        mean, std = source.front_end.get("mean", _MEAN), source.front_end.get("std", _STD)
        scale = (mean, 2 * std) if source.front_end.get("do_normalize", True) else (0.0, 1.0)
        self.filter_bank = FilterBank(sample_rate, config.num_mel_bins, *scale)
        self.num_features = config.hidden_size
        self.layer_weights = LayerWeights(config.num_hidden_layers + 1) if options["layers"] == "weighted" else None
        self.fresh = frozenset({"layer_weights.weights"} if self.layer_weights else ())
        self.source = source
        self.describe()

    @property
    def hop(self) -> int:
        """Samples from one token to the next."""
        return self._hop * int(self.model.config.time_stride)

    def frames(self, samples: Tensor) -> Tensor:
        """Return how many tokens so many samples touch, of the same shape."""
        return (-(-samples // self.hop)).clamp_max(self._columns)

    def load_weights(self) -> None:
        """Load the weights that the options name, less the head, positions cut or interpolated to `duration`."""
        if self.resolved["weights"] == "none":
            return
        state, origin = self.source.state(self.resolved["weights"])
        state = without_head(state, f"{self.model.base_model_prefix}.")
        if _POSITIONS in state:
            state[_POSITIONS] = fit_positions(state[_POSITIONS], self._rows, self._columns, origin)
        load(self.model, self.model.config, state, origin)

    def forward(self, **batch: Tensor) -> Features:
        """Return features of `waveform` (B, N), `samples` (B,), `clock` (B, 2) and SpecAugment's `masks` (B, M, 3)."""
        values = self.filter_bank(batch["waveform"])
        if "masks" in batch:
            values = blank(values, batch["masks"], 0.0)
        states = self.states(values.mT)
        tokens = self.layer_weights(states) if self.layer_weights else states[-1]
        patches = tokens[:, 2:].unflatten(1, (self._rows, self._columns)).mean(1)
        pooled = tokens[:, :2].mean(1)  # the class token and that of distillation
        return self.features(patches, batch["samples"], batch["clock"])._replace(pooled=pooled)


class FilterBank(nn.Module):
    """Waveforms (B, N) to spectrograms (B, K, F) as Kaldi makes them, less `mean`, through `scale`; always float32."""

    filters: Tensor
    window: Tensor

    def __init__(self, sample_rate: int, bands: int, mean: float, scale: float) -> None:
        super().__init__()
        self._hop, self._mean, self._scale = round(_HOP * sample_rate), mean, scale
        filters, _ = get_mel_banks(bands, _TRANSFORM, float(sample_rate), 20.0, 0.0, 100.0, -500.0, 1.0)
        self.register_buffer("filters", nn.functional.pad(filters, (0, 1)), persistent=False)
        window = torch.hann_window(round(_WINDOW * sample_rate), periodic=False)
        self.register_buffer("window", window, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return as many frames as lie wholly in the waveform."""
        with torch.autocast(waveform.device.type, enabled=False):
            frames = waveform.float().unfold(1, len(self.window), self._hop)  # (B, F, window)
            frames = frames - frames.mean(2, keepdim=True)
            before = torch.cat([frames[..., :1], frames[..., :-1]], 2)
            waves = torch.fft.rfft((frames - _PREEMPHASIS * before) * self.window, _TRANSFORM)
            power = (waves.real.square() + waves.imag.square()) @ self.filters.T
            levels = power.clamp_min(torch.finfo(torch.float32).eps).log()
            return ((levels - self._mean) / self._scale).mT


def fit_positions(positions: Tensor, rows: int, columns: int, origin: str) -> Tensor:
    """Return positions (1, 2 + rows x columns, D), cut around the middle of time or interpolated linearly."""
    special, patches = positions[:, :2], positions[:, 2:]
    if patches.shape[1] % rows:
        raise WeightsError(f"{origin}: {patches.shape[1]} positions are no multiple of {rows} rows of patches")
    grid = patches.unflatten(1, (rows, -1))  # (1, rows, columns, D)
    there = grid.shape[2]
    if columns <= there:
        start = (there - columns) // 2
        grid = grid[:, :, start : start + columns]
    else:
        grid = grid.permute(0, 3, 1, 2)
        grid = nn.functional.interpolate(grid, (rows, columns), mode="bilinear").permute(0, 2, 3, 1)
    return torch.cat([special, grid.flatten(1, 2)], 1).contiguous()
