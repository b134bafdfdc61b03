"""What this plugin's components are tried with by `inarch.testing`. Light: imports no library of models."""

from inarch import Targets, Trial

_TEXTS = ["one two", "three", "", "four five six"]
_EVENTS = [
    [{"start": 0.0, "end": 1.5, "label": "bird"}, {"start": 2.0, "end": 2.5, "label": "car"}],
    [],
    [{"start": 4.0, "end": 6.0, "label": "bird"}],
]


def transcripts() -> Trial:
    """Texts, of which one is empty."""
    targets = Targets("transcript", (), {"train": [len(_TEXTS)]}, {"values": {}})
    return Trial(targets=targets, truths=_TEXTS, answers=[{"text": text, "score": 0.5} for text in _TEXTS])


def events() -> list[Trial]:
    """Events of all labels, and of one."""
    targets = Targets("segments", ("bird", "car"), {"train": [2, 1]}, {"form": "segments", "values": {}})
    tried = {"targets": targets, "truths": _EVENTS, "answers": [{"segments": found, "tags": []} for found in _EVENTS]}
    return [Trial(name="all", **tried), Trial(name="one label", options={"label": "bird"}, **tried)]


def synthetic_speech() -> Trial:
    """Two words in two voices."""
    return Trial(options={"path": "spoken", "words": ["go", "stop"], "voices": 2})
