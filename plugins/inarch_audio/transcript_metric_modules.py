"""torchmetrics' error rates on predictions as the core hands them over. Every state is a sum over examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.text import CharErrorRate, WordErrorRate


class _OfTranscripts(Metric):
    """Errors / length, of predictions that have a `text` against raw targets, which `values` may have names for."""

    errors: Tensor
    total: Tensor

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__()
        self.values = values

    def update(self, predictions: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> None:
        """Compare texts with transcripts."""
        super().update(
            [prediction["text"] for prediction in predictions], [self.values.get(target, target) for target in targets]
        )

    def compute(self) -> Tensor:
        """Return a scalar, 0 or more; of empty transcripts alone, the number of errors."""
        return self.errors / self.total.clamp_min(1)


class WordErrors(_OfTranscripts, WordErrorRate):
    """Errors in words / words of the transcripts."""


class CharacterErrors(_OfTranscripts, CharErrorRate):
    """Errors in characters / characters of the transcripts."""
