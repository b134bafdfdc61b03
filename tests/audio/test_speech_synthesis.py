"""Synthesised words: what is said by whom, the same each time; what a folder may hold, and messages."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from inarch import DataError, RecipeError
from inarch_audio import speech_synthesis
from inarch_audio.datasets import synthetic_speech

VOICES = ["en-us+f2", "en-gb-scotland+m3"]


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
    """A folder with two words in two voices, twice each; not to be changed."""
    pytest.importorskip("espeakng_loader", reason="the synthesiser is not installed; see requirements-demo.txt")
    return make(tmp_path_factory.mktemp("spoken") / "words")


@pytest.fixture
def synthesiser():
    pytest.importorskip("espeakng_loader", reason="the synthesiser is not installed; see requirements-demo.txt")


def make(path, **options):
    return synthetic_speech(path=str(path), **{"words": ["yes", "stop"], "voices": VOICES, "takes": 2, **options})


def contents(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in Path(path).rglob("*") if file.is_file()}


def rows(dataset):
    return [dataset.splits["train"][index] for index in range(len(dataset.splits["train"]))]


def test_every_word_is_said_in_every_voice(spoken):
    found = rows(spoken)
    assert sorted((row["class"], row["voice"], row["accent"]) for row in found) == sorted(
        (word, voice, voice.partition("+")[0]) for word in ("yes", "stop") for voice in VOICES for _ in range(2)
    )
    assert (spoken.input, spoken.target, spoken.group, spoken.files) == ("file", "class", "voice", {"file"})
    assert "8 recordings in 2 voices, synthesised by espeak-ng" in spoken.notes[0]
    assert spoken.splits["train"].where(3) == found[3]["file"]


def test_recordings_hold_a_short_word_and_no_two_are_alike(spoken):
    heard = [soundfile.read(row["file"]) for row in rows(spoken)]
    for waveform, rate in heard:
        assert rate == 22050
        assert 0.15 < len(waveform) / rate < 1.2
        assert 0.01 < np.sqrt(np.mean(waveform**2)) < 0.5
        assert abs(waveform).max() < 1
    assert len({waveform.tobytes() for waveform, _ in heard}) == len(heard)


def test_the_same_options_make_the_same_bytes(spoken, tmp_path):
    make(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(spoken.origin)


def test_a_voice_does_not_depend_on_the_others(spoken, tmp_path):
    make(tmp_path / "one", voices=VOICES[1:])
    alone, together = contents(tmp_path / "one"), contents(spoken.origin)
    del alone["manifest.json"]
    assert len(alone) == 4
    assert all(together[name] == content for name, content in alone.items())


def test_the_seed_changes_speed_and_pitch(spoken, tmp_path):
    make(tmp_path / "other", seed=1)
    before, after = contents(spoken.origin), contents(tmp_path / "other")
    assert before.keys() == after.keys()
    assert not any(before[name] == after[name] for name in before)


def test_a_folder_that_was_made_is_used_without_the_synthesiser(spoken, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    assert rows(make(spoken.origin)) == rows(spoken)


def test_without_the_synthesiser_the_message_says_what_to_install(tmp_path, monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(DataError, match=r"'espeakng-loader' is not installed. Try: pip install .*espeakng-loader"):
        make(tmp_path / "words")
    assert list(tmp_path.iterdir()) == []


def test_a_class_may_have_several_texts(synthesiser, tmp_path):
    made = make(tmp_path / "words", words={"go": ["go", "move on"], "halt": ["stop"]}, voices=VOICES[:1], takes=1)
    assert sorted(row["class"] for row in rows(made)) == ["go", "go", "halt"]
    manifest = json.loads((tmp_path / "words" / "manifest.json").read_text())
    assert [recording["text"] for recording in manifest["recordings"]] == ["go", "move on", "stop"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"takes": 1}, "takes: 2"),
        ({"seed": 5}, "seed: 0"),
        ({"words": ["yes"]}, "words: "),
        ({"voices": 2}, "voices: "),
    ],
)
def test_a_folder_made_with_other_options_is_an_error(spoken, options, told):
    before = contents(spoken.origin)
    with pytest.raises(DataError, match=rf"was made with other options \({told}.*name another folder"):
        make(spoken.origin, **options)
    assert contents(spoken.origin) == before


def test_a_folder_with_something_else_is_an_error_and_stays(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="holds something else than recordings"):
        make(tmp_path)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


def test_a_file_in_place_of_the_folder_is_an_error_and_stays(tmp_path):
    (tmp_path / "words").write_text("years of work")
    with pytest.raises(DataError, match="holds something else than recordings"):
        make(tmp_path / "words")
    assert (tmp_path / "words").read_text() == "years of work"


def test_an_empty_folder_is_filled(synthesiser, tmp_path):
    assert len(rows(make(tmp_path, voices=VOICES[:1]))) == 4


def test_a_folder_whose_files_were_changed_is_an_error(synthesiser, tmp_path):
    file = Path(rows(make(tmp_path / "words", voices=VOICES[:1]))[0]["file"])
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(DataError, match=rf"{re.escape(file.name)}: is missing or not as it was made"):
        make(tmp_path / "words", voices=VOICES[:1])
    (tmp_path / "words" / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: is damaged"):
        make(tmp_path / "words", voices=VOICES[:1])


def test_two_processes_may_start_at_once(spoken, tmp_path):
    script = (
        "import sys; from inarch_audio.datasets import synthetic_speech\n"
        f"synthetic_speech(path=sys.argv[1], words=['yes', 'stop'], voices={VOICES}, takes=2)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "words")]
    started = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    assert contents(tmp_path / "words") == contents(spoken.origin)
    assert [entry.name for entry in tmp_path.iterdir()] == ["words"]


def test_a_text_without_sound_is_an_error_and_leaves_nothing(synthesiser, tmp_path):
    with pytest.raises(DataError, match=r"the voice 'en-us\+f2': espeak-ng makes no sound of the text ' '"):
        make(tmp_path / "words", words={"silence": [" "]})
    assert list(tmp_path.iterdir()) == []


def test_a_crash_of_the_synthesiser_is_an_error(synthesiser, tmp_path, monkeypatch):
    program = tmp_path / "crash.py"
    program.write_text("import os; os.abort()")
    monkeypatch.setattr(speech_synthesis.espeak, "__file__", str(program))
    with pytest.raises(DataError, match=r"the voice 'en-us\+f2': espeak-ng ended with the code -6"):
        make(tmp_path / "words")


def test_a_folder_that_cannot_be_written_is_an_error(synthesiser, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the recordings cannot be written"):
        make(tmp_path / "file" / "words")


def test_so_many_voices_have_a_timbre_each_and_meet_all_accents(synthesiser, tmp_path):
    made = rows(make(tmp_path / "words", words=["go"], voices=16, takes=1))
    assert len({row["voice"].partition("+")[2] for row in made}) == 16
    assert len({row["accent"] for row in made}) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": []}, "dataset.words: expected words to be spoken, found none"),
        ({"words": {"go": []}}, "dataset.words: expected words to be spoken, found none"),
        ({"words": ["go", "go"]}, r"dataset.words: one is there twice in \['go', 'go'\]"),
        ({"words": ["../go"]}, "dataset.words: classes name folders: expected letters and digits, found '../go'"),
        ({"voices": 64}, "dataset.voices: there are 63 timbres, .* found 64"),
        ({"voices": ["en-us+f1", "en-us+f1"]}, "dataset.voices: expected a number, or names, each once"),
        ({"voices": ["en-uk+f1"]}, r"dataset.voices: 'en-uk\+f1' \(ACCENT\+TIMBRE\): unknown accent 'en-uk'"),
        ({"voices": ["en-us"]}, r"dataset.voices: 'en-us' \(ACCENT\+TIMBRE\): unknown timbre ''"),
    ],
)
def test_options_that_cannot_be_are_errors(options, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        make(tmp_path / "words", **options)
    assert list(tmp_path.iterdir()) == []
