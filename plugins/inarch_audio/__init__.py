"""The audio plugin: backbones of torchaudio, transformers and timm, metrics of transcripts. Imports nothing heavy."""

from inarch import Register, hookimpl
from inarch_audio import builders, datasets, event_metrics, transcript_metrics


@hookimpl
def register_backbones(register: Register) -> None:
    """Register one builder a library, and the speech embedding network."""
    register("torchaudio", builders.torchaudio, domain="audio", verify=builders.verify)
    register(
        "transformers_audio",
        builders.transformers_audio,
        domain="audio",
        verify=builders.verify,
        starter=builders.starter,
    )
    register("spectrogram", builders.spectrogram, domain="audio", verify=builders.verify)
    register("speech_embedding", builders.speech_embedding, domain="audio", verify=builders.verify)


@hookimpl
def register_datasets(register: Register) -> None:
    """Register words in synthesised voices."""
    register("synthetic_speech", datasets.synthetic_speech)


@hookimpl
def register_metrics(register: Register) -> None:
    """Register metrics of what was said, and of when something sounded."""
    transcripts = {"kinds": ("transcript",), "larger_is_better": False}
    register("word_error_rate", transcript_metrics.word_error_rate, **transcripts)
    register("character_error_rate", transcript_metrics.character_error_rate, **transcripts)
    register("event_f1", event_metrics.event_f1, kinds=("segments",), verify=event_metrics.verify_events)
