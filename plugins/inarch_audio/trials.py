"""What this plugin's components are tried with by `inarch.testing`. Light: imports no library of models."""

import json
from typing import Any

from inarch import Targets, Trial

_TEXTS = ["one two", "three", "", "four five six"]
_EVENTS = [
    [{"start": 0.0, "end": 1.5, "label": "bird"}, {"start": 2.0, "end": 2.5, "label": "car"}],
    [],
    [{"start": 4.0, "end": 6.0, "label": "bird"}],
]
_WAVES = {
    "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 32,
    "intermediate_size": 24, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
_WHISPER = {
    "model_type": "whisper", "d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "vocab_size": 40, "pad_token_id": 0,
    "max_source_positions": 50, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip


def torchaudio() -> Trial:
    """The smallest of the bundles, which all are large: to try it takes minutes."""
    return _trial("", model="WAV2VEC2_BASE", weights="none", duration=0.6)


def transformers_audio() -> list[Trial]:
    """A model that hears waveforms whole, and one that sees spectrograms through windows."""
    return [
        _trial("wav2vec2", duration=None, layers="weighted", **_model(_WAVES)),
        _trial("whisper", duration=1.0, **_model(_WHISPER)),
    ]


def spectrogram() -> Trial:
    """A small network over images of sound, with all that is changed at random."""
    augment = {"time_masks": [1, 0.2], "frequency_masks": [1, 0.2], "gain": 3.0, "mixup": 0.2}
    return _trial("", model="test_resnet", weights="none", duration=0.5, n_mels=32, augment=augment)


def speech_embedding() -> Trial:
    """The network of spoken words."""
    return _trial("", weights="none", duration=1.0)


def _model(config: dict[str, Any]) -> dict[str, Any]:
    return {"model": "./tiny", "weights": "none", "files": {"tiny/config.json": json.dumps(config)}}


def _trial(name: str, files: Any = None, **options: Any) -> Trial:
    """Return a trial on recordings of one channel and two, short and long, silent, loud, and of three rates."""
    import numpy as np

    random = np.random.default_rng(0)
    waves = {
        16000: [0.3 * random.normal(size=9000), 0.1 * random.normal(size=30000)],
        8000: [random.uniform(-1, 1, size=(6000, 2)), np.zeros(4000)],
        44100: [np.sin(np.arange(50000) / 20)],
    }
    inputs = [
        {"array": wave.astype(np.float32), "sampling_rate": rate} for rate, some in waves.items() for wave in some
    ]
    refused = [{"bytes": b"RIFF....WAVE", "path": None}, "/nowhere/a.wav", {"path": None}, 7,
               {"array": np.full(8000, np.nan, np.float32), "sampling_rate": 16000}]  # fmt: skip
    return Trial(name=name, options=options, inputs=inputs, refused=refused, files=files or {})


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
