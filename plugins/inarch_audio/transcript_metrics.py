"""What a recipe may write for metrics of transcripts. Light: torchmetrics is imported when one is built."""

from typing import TYPE_CHECKING

from inarch import Targets

if TYPE_CHECKING:
    from torchmetrics import Metric


def word_error_rate(targets: Targets) -> "Metric":
    """Words that are wrong, missing or too many, per word of the transcripts: 0 is perfect, and it may exceed 1.

    Words are what white space parts, as they are written: case and punctuation count. Empty transcripts add what was
    heard in them to the errors; if all are empty, it is the number of these errors.
    """
    from inarch_audio.transcript_metric_modules import WordErrors

    return WordErrors(targets.details["values"])


def character_error_rate(targets: Targets) -> "Metric":
    """Characters that are wrong, missing or too many, per character of the transcripts; spaces are characters.

    Otherwise as `word_error_rate`.
    """
    from inarch_audio.transcript_metric_modules import CharacterErrors

    return CharacterErrors(targets.details["values"])
