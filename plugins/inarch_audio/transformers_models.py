"""Which audio models of transformers there are as backbones."""

from typing import Any

from inarch import RecipeError, absolute, unknown
from inarch_audio.augment import Augment
from inarch_audio.pretrained import open_source
from inarch_audio.spectrogram_transformer import SpectrogramTransformer
from inarch_audio.transformers_network import TransformersNetwork
from inarch_audio.transformers_waveforms import WaveformTransformer
from inarch_audio.whisper import WhisperBackbone

_FAMILIES: dict[str, Any] = {
    "audio-spectrogram-transformer": SpectrogramTransformer,
    "hubert": WaveformTransformer,
    "wav2vec2": WaveformTransformer,
    "wavlm": WaveformTransformer,
    "whisper": WhisperBackbone,
}


def make_backbone(
    *,
    model: str,
    weights: str,
    depth: int | None,
    layers: str,
    revision: str | None,
    files: str | None,
    sample_rate: int,
    duration: float | None,
    overlap: float,
    augment: Augment,
) -> TransformersNetwork:
    """Return the backbone of a model, by the type that its configuration names."""
    source = open_source(model, revision, files).shortened(depth)
    family = _FAMILIES.get(source.config.model_type)
    if family is None:
        raise RecipeError(f"{model}: " + unknown("type of audio model", source.config.model_type, _FAMILIES))
    options = {"model": source.model, "weights": absolute(weights), "depth": depth, "layers": layers}
    options["revision"] = source.revision
    backbone: TransformersNetwork = family(
        source, options, sample_rate=sample_rate, duration=duration, overlap=overlap, augment=augment
    )
    return backbone
