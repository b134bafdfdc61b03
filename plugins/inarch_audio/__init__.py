"""The audio plugin: backbones of torchaudio, transformers and timm, metrics of transcripts. Imports nothing heavy."""

from inarch import Register, hookimpl
from inarch_audio import builders, candidates, datasets, event_metrics, transcript_metrics, trials


@hookimpl
def register_backbones(register: Register) -> None:
    """Register one builder a library, and the speech embedding network."""
    sounds = {"domain": "audio", "verify": builders.verify, "keeps": ("duration", "overlap", "augment")}
    register("torchaudio", builders.torchaudio, trial=trials.torchaudio, **sounds)
    register(
        "transformers_audio",
        builders.transformers_audio,
        starter=builders.starter,
        candidates=candidates.whisper,
        trial=trials.transformers_audio,
        **sounds,
    )
    register("spectrogram", builders.spectrogram, trial=trials.spectrogram, **sounds)
    register("speech_embedding", builders.speech_embedding, candidates=candidates.words, trial=trials.speech_embedding,
             **sounds)  # fmt: skip


@hookimpl
def register_datasets(register: Register) -> None:
    """Register words in synthesised voices."""
    register("synthetic_speech", datasets.synthetic_speech, trial=trials.synthetic_speech)


@hookimpl
def register_metrics(register: Register) -> None:
    """Register metrics of what was said, and of when something sounded."""
    transcripts = {"kinds": ("transcript",), "larger_is_better": False, "trial": trials.transcripts}
    register("word_error_rate", transcript_metrics.word_error_rate, **transcripts)
    register("character_error_rate", transcript_metrics.character_error_rate, **transcripts)
    register("event_f1", event_metrics.event_f1, kinds=("segments",), verify=event_metrics.verify_events,
             trial=trials.events)  # fmt: skip
