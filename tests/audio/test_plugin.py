"""The plugin as the core sees it."""

import inspect
import subprocess
import sys

import pytest

import inarch_audio
from inarch_audio import builders, event_metrics, transcript_metrics
from inarch_audio.augment import Augment

HEAVY = ("torch", "torchaudio", "torchmetrics", "transformers", "timm", "soundfile", "numpy")
COMMON = ["sample_rate", "duration", "overlap", "augment", "weights"]


def registered(hook):
    found = {}
    hook(lambda name, build, **facts: found.update({name: (build, facts)}))
    return found


BACKBONES = registered(inarch_audio.register_backbones)


def test_one_builder_for_each_library_and_the_packaged_network():
    assert {name: build for name, (build, _) in BACKBONES.items()} == {
        "torchaudio": builders.torchaudio,
        "transformers_audio": builders.transformers_audio,
        "spectrogram": builders.spectrogram,
        "speech_embedding": builders.speech_embedding,
    }
    assert all(facts["domain"] == "audio" and facts["verify"] for _, facts in BACKBONES.values())
    assert sum("starter" in facts for _, facts in BACKBONES.values()) == 1


@pytest.mark.parametrize("name", BACKBONES)
def test_every_option_is_annotated_and_explained_and_what_is_common_is_alike(name):
    build, _ = BACKBONES[name]
    options = inspect.signature(build).parameters
    for option in options.values():
        assert option.kind is option.KEYWORD_ONLY and option.annotation is not option.empty
        assert f"        {option.name}: " in build.__doc__
    assert set(COMMON) <= set(options)
    defaults = {option: options[option].default for option in ("sample_rate", "overlap", "augment", "weights")}
    assert defaults == {"sample_rate": 16000, "overlap": 0.25, "augment": Augment(), "weights": "pretrained"}


def test_metrics_of_what_was_said_and_of_when_it_sounded():
    found = registered(inarch_audio.register_metrics)
    assert {name: (build, facts["kinds"]) for name, (build, facts) in found.items()} == {
        "word_error_rate": (transcript_metrics.word_error_rate, ("transcript",)),
        "character_error_rate": (transcript_metrics.character_error_rate, ("transcript",)),
        "event_f1": (event_metrics.event_f1, ("segments",)),
    }
    assert not found["word_error_rate"][1]["larger_is_better"]


def test_registering_imports_nothing_heavy():
    code = (
        "import sys, inarch_audio\n"
        "for hook in (inarch_audio.register_backbones, inarch_audio.register_metrics):\n"
        "    hook(lambda *given, **facts: None)\n"
        "inarch_audio.builders.starter()\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""


def test_the_starter_names_options_that_exist_and_no_path_of_this_machine(monkeypatch):
    backbone = builders.starter()["backbone"]
    assert set(backbone) - {"name"} <= set(inspect.signature(builders.transformers_audio).parameters)
    monkeypatch.setattr(builders, "_WHISPER", "package:nobody-has-this/model")
    assert builders.starter()["backbone"]["model"] == "openai/whisper-tiny.en"


def test_the_list_shows_audio_beside_the_others(inarch):
    listed = inarch("list").stdout
    for name in ("torchaudio", "transformers_audio", "spectrogram", "speech_embedding", "event_f1", "word_error_rate"):
        assert name in listed
    options = inarch("list", "backbones").stdout
    assert "time_masks" in options and "seconds" in options and "package:DISTRIBUTION" in options
