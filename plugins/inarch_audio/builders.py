"""What a recipe may write for an audio backbone. Light: the libraries are imported when a backbone is built."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from inarch import Range
from inarch_audio.augment import Augment

if TYPE_CHECKING:
    from inarch_audio.torchaudio_models import TorchaudioBackbone
    from inarch_audio.transformers_network import TransformersNetwork

_AUGMENT = Augment()


def torchaudio(
    *,
    model: str,
    weights: str = "pretrained",
    layers: Literal["last", "weighted"] = "last",
    sample_rate: Annotated[int, Range(least=1)] = 16000,
    duration: Annotated[float, Range(above=0)] | None = None,
    overlap: Annotated[float, Range(least=0, below=1)] = 0.25,
    augment: Augment = _AUGMENT,
) -> "TorchaudioBackbone":
    """Any wav2vec 2.0, HuBERT or WavLM bundle of torchaudio, without the layer for its own labels.

    LayerDrop is off. It hears the waveform itself, so time_masks and frequency_masks of `augment` are refused.

    Args:
        model: The name of a bundle of torchaudio.pipelines, WAV2VEC2_BASE or WAVLM_LARGE for example.
        weights: `pretrained` downloads torchaudio's own, `none` is random; else a path, or package:DISTRIBUTION/FILE.
        layers: Features of the last layer, or a learned weighted sum of all layers (SUPERB, arXiv 2105.01051).
        sample_rate: Hz, what the bundle was trained on; recordings at other rates are resampled.
        duration: Longer recordings are cut in training, and seen through windows of so many seconds elsewhere. Default:
            each recording goes through whole.
        overlap: Share of a window that it has in common with the next one.
        augment: Random changes to training recordings.
    """
    from inarch_audio.torchaudio_models import TorchaudioBackbone

    return TorchaudioBackbone(
        model=model,
        weights=weights,
        layers=layers,
        sample_rate=sample_rate,
        duration=duration,
        overlap=overlap,
        augment=augment,
    )


def transformers_audio(
    *,
    model: str,
    duration: Annotated[float, Range(above=0)] | None,
    weights: str = "pretrained",
    layers: Literal["last", "weighted"] = "last",
    sample_rate: Annotated[int, Range(least=1)] = 16000,
    overlap: Annotated[float, Range(least=0, below=1)] = 0.25,
    augment: Augment = _AUGMENT,
    revision: str | None = None,
    files: str | None = None,
) -> "TransformersNetwork":
    """Whisper's encoder, AST, wav2vec 2.0, HuBERT or WavLM of transformers (github.com/huggingface/transformers).

    LayerDrop is off. Whisper and AST make spectrograms on the device. The others hear the waveform itself, so
    time_masks and frequency_masks of `augment` are refused with them.

    Args:
        model: A name of the hub (owner/name), a folder in the hub's layout, or package:DISTRIBUTION/FOLDER; of Whisper
            also a folder or file of CTranslate2 (model.bin), in which several packages carry it.
        duration: Seconds that go through at once: longer recordings are cut in training, and seen through windows
            elsewhere. Whisper (at most 30) and AST need it and fill shorter ones up with silence; with null each
            recording goes through the others whole.
        weights: `pretrained` are those of `model`, `none` is random; else a safetensors file.
        layers: Features of the last layer, or a learned weighted sum of all layers (SUPERB, arXiv 2105.01051).
        sample_rate: Hz, what the model was trained on; recordings at other rates are resampled.
        overlap: Share of a window that it has in common with the next one.
        augment: Random changes to training recordings.
        revision: Branch, tag or commit of a model of the hub.
        files: Where a bundle keeps the configuration; recipes leave it out.
    """
    from inarch_audio.transformers_models import make_backbone

    return make_backbone(
        model=model,
        duration=duration,
        weights=weights,
        layers=layers,
        sample_rate=sample_rate,
        overlap=overlap,
        augment=augment,
        revision=revision,
        files=files,
    )


def verify(raw: Any) -> None:
    """Raise ValueError saying what is wrong if a raw example is not a recording; only its header is read."""
    from inarch_audio.recordings import verify

    verify(raw)
