"""Log-mel spectrograms in front of an image model of timm.

Shapes: B batch, F frames, K mel bands, M masks, N samples.
"""

from typing import Any

import timm
import torchaudio
from torch import Tensor, nn

from inarch import Features
from inarch_audio.augment import Augment
from inarch_audio.backbones import AudioBackbone
from inarch_audio.log_mel import LogMel
from inarch_audio.pipeline import Pipeline
from inarch_audio.timm_network import TimmNetwork


class SpectrogramBackbone(AudioBackbone):
    """A model of timm that sees a spectrogram as an image of one channel, low frequencies first.

    Provides `pooled`, as the model pools, over silence after a short recording too. Where its last map has an axis
    of time it provides `tokens` as well, one for each column of that map (the mean over frequency), and `units`.
    """

    def __init__(
        self,
        *,
        model: str,
        weights: str,
        drop_path: float,
        sample_rate: int,
        duration: float,
        overlap: float,
        augment: Augment,
        **front_end: Any,
    ) -> None:
        if front_end["f_max"] is None:
            front_end["f_max"] = sample_rate / 2
        pipeline = Pipeline(sample_rate=sample_rate, duration=duration, overlap=overlap, pad="end")
        options = {"model": model, "weights": weights, "drop_path": drop_path, **front_end}
        super().__init__(options, pipeline, augment)
        self.log_mel = LogMel(sample_rate, **front_end)
        frames = self.log_mel.frames(round(duration * sample_rate))
        self.network = TimmNetwork(model, weights, drop_path, front_end["n_mels"], frames)
        self.num_features = self.network.num_features
        self.provides = frozenset({"pooled", "tokens", "units"} if self.network.columns else {"pooled"})
        self.facts = {"timm": timm.__version__, "torchaudio": torchaudio.__version__}

    @property
    def hop(self) -> int:
        """Samples from one column of the last map to the next."""
        return self.network.stride * self.log_mel.hop

    def frames(self, samples: Tensor) -> Tensor:
        """Return how many columns of the last map so many samples reach, of the same shape."""
        return -(-samples // self.hop)

    def load_weights(self) -> None:
        """Load the weights that the options name, less their classification layer, strictly."""
        if self.resolved["weights"] != "none":
            self.network.load(self.resolved["weights"])

    def forward(self, **batch: Tensor) -> Features:
        """Return features of `waveform` (B, N); `masks` (B, M, 3) are SpecAugment's."""
        image = self.log_mel(batch["waveform"], batch.get("masks"))  # (B, K, F)
        missing = self.network.size[1] - image.shape[2]  # of the last patch
        if missing:
            image = nn.functional.pad(image, (0, missing), value=self.log_mel.silence)
        pooled, columns = self.network(image[:, None])
        if columns is None:
            return Features(pooled=pooled)
        return self.features(columns, batch["samples"], batch["clock"])._replace(pooled=pooled)

    def layers(self) -> list[list[str]]:
        """Return timm's own grouping by depth: stem, blocks, last norm."""
        return [[f"network.{name}" for name in names] for names in self.network.layers()]

    def synchronise_norms(self) -> None:
        """Have batch norms normalise by the statistics of all processes."""
        self.network.synchronise_norms()

    def gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass from now on."""
        self.network.gradient_checkpointing()
