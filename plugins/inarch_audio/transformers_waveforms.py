"""wav2vec 2.0, HuBERT and WavLM of transformers as backbones. Shapes: B batch, D features, N samples, T tokens."""

import copy
import warnings
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel

from inarch import RecipeError, quiet
from inarch_audio.augment import Augment
from inarch_audio.pretrained import Source, load, without_head
from inarch_audio.transformers_network import TransformersNetwork
from inarch_audio.waveform_models import WaveformBackbone

_EPSILON = 1e-7  # beside the variance of a waveform, as transformers' feature extractor has it


class WaveformTransformer(TransformersNetwork, WaveformBackbone):
    """A model without its head; waveforms are normalised unless its preprocessor_config.json says otherwise."""

    blocks = "model.encoder.layers."

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
        config = _adapt(source)
        super().__init__(
            options,
            rates=(sample_rate, source.front_end.get("sampling_rate", 16000)),
            duration=duration,
            overlap=overlap,
            augment=augment,
            convolutions=list(zip(config.conv_kernel, config.conv_stride, strict=True)),
            group_norm=config.feat_extract_norm == "group",
            epsilon=_EPSILON if source.front_end.get("do_normalize", True) else None,
            blocks=config.num_hidden_layers,
            num_features=config.hidden_size,
        )
        with quiet():
            self.model = AutoModel.from_config(config, dtype=torch.float32)
        # It would ask for the gradient of the waveform, through all convolutions even where they are frozen.
        self.model.feature_extractor._requires_grad = False
        self.source = source
        between = ("model.feature_projection.", "model.encoder.pos_conv_embed.")
        if not config.do_stable_layer_norm:
            between += ("model.encoder.layer_norm.",)
        self.before = (("model.feature_extractor.",), between)
        self.describe()

    def load_weights(self) -> None:
        """Load the weights that the options name, less heads and what only pretraining needed."""
        if self.resolved["weights"] == "none":
            return
        state, origin = self.source.state(self.resolved["weights"])
        state = without_head(state, f"{self.model.base_model_prefix}.")
        state.pop("masked_spec_embed", None)  # which took the place of masked features
        load(self.model, self.model.config, state, origin)

    def encode(self, waveform: Tensor, samples: Tensor | None) -> list[Tensor]:
        """Return what enters the first block and what each says."""
        if samples is None:
            return self.states(waveform)
        real = torch.arange(waveform.shape[1], device=waveform.device) < samples[:, None]
        with warnings.catch_warnings():  # of torch, about two types of masks, both made inside WavLM
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
            return self.states(waveform, attention_mask=real.long())


def _adapt(source: Source) -> Any:
    """Return a configuration in which training draws no masks and leaves out no block.

    Masks would come from numpy's generator in `forward`, and blocks without a gradient cannot be trained on several
    devices.
    """
    config = copy.deepcopy(source.config)
    if getattr(config, "add_adapter", False):
        raise RecipeError(f"{source.model} has an adapter after its blocks, which is not supported; take one without")
    config.layerdrop = config.mask_time_prob = config.mask_feature_prob = 0.0
    return config
