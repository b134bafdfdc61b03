"""Every kind of recording becomes the right waveform, whole or in stretches, and whatever is none says why."""

import os
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from audio.sounds import RATE, broken, encoded, speech, tone, with_field, without_tag, write
from torchaudio.transforms import Resample

from inarch import Window
from inarch_audio import resampling
from inarch_audio.recordings import read, read_header, start_of, verify

LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]
EXACT = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("WAV", "MS_ADPCM"), ("AIFF", "PCM_16"), ("CAF", "ALAC_16")]
BROKEN = broken()


@pytest.mark.parametrize("format, subtype, error", [
    ("WAV", "PCM_U8", 2**-7), ("WAV", "PCM_16", 2**-15), ("WAV", "PCM_24", 2**-22), ("WAV", "PCM_32", 2**-22),
    ("WAV", "FLOAT", 0), ("WAV", "DOUBLE", 0), ("WAVEX", "PCM_24", 2**-22), ("RF64", "PCM_16", 2**-15),
    ("FLAC", "PCM_S8", 2**-7), ("FLAC", "PCM_16", 2**-15), ("FLAC", "PCM_24", 2**-22), ("AIFF", "PCM_24", 2**-22),
    ("AIFF", "FLOAT", 0), ("WAV", "ULAW", 0.02), ("OGG", "VORBIS", 0.05), ("MP3", None, 0.05),
])  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_becomes_the_same_waveform(tmp_path, format, subtype, error, channels):
    expected = tone(0.5)
    samples = expected if channels == 1 else np.stack([expected, expected], 1)
    data = encoded(samples, format=format, subtype=subtype)
    (tmp_path / "a").write_bytes(data)
    for raw in (tmp_path / "a", str(tmp_path / "a"), {"path": str(tmp_path / "a"), "bytes": None}, {"bytes": data}):
        verify(raw)
        found = read(raw, RATE)
        assert read_header(raw) == (RATE, len(expected))
        assert found.shape == (len(expected),) and found.dtype == torch.float32 and found.is_contiguous()
        assert np.abs(found.numpy() - expected)[100:-100].max() <= error


def test_channels_are_averaged():
    found = read({"bytes": encoded(np.stack([tone(), 0 * tone(), -0.25 * tone()], 1), subtype="FLOAT")}, RATE)
    assert np.allclose(found, 0.25 * tone(), atol=1e-7)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint8, np.float32, np.float64])
def test_arrays_are_read_as_files_of_their_type_are(kind):
    scale, middle = (1, 0) if np.dtype(kind).kind == "f" else (np.iinfo(kind).max + 1, 0)
    if kind is np.uint8:
        scale, middle = 128, 128
    array = (tone() * scale + middle).astype(kind)
    for samples in (array, np.stack([array, array], 1), array.tolist() if kind is np.float64 else array):
        raw = {"array": samples, "sampling_rate": RATE, "path": None}
        verify(raw)
        assert np.allclose(read(raw, RATE), tone(), atol=1.01 / 128 if kind is np.uint8 else 1e-4)
        assert torch.equal(read(raw, RATE, 0.25, 0.5), read(raw, RATE)[4000:8000])


def test_a_waveform_that_is_changed_leaves_the_array_it_came_from_as_it_was():
    raw = {"array": tone(), "sampling_rate": RATE}
    read(raw, RATE).zero_()
    assert np.array_equal(raw["array"], tone())


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000, 96000])
@pytest.mark.parametrize("wanted", [8000, 16000, 44100])
def test_another_rate_is_resampled_as_torchaudio_does(rate, wanted):
    samples = speech(0.7, rate=rate)
    found = read({"array": samples, "sampling_rate": rate}, wanted)
    expected = Resample(rate, wanted)(torch.from_numpy(samples))
    assert found.shape == expected.shape and found.is_contiguous()
    assert (found - expected).abs().max() < 2e-6


@pytest.mark.parametrize("rate, error", [(11127, 1e-6), (22255, 1e-6), (16001, 1e-4), (16008, 5e-4)])
def test_a_rate_of_no_small_ratio_is_resampled_to_nearly_the_same_tone(rate, error):
    found = read({"array": tone(2, rate=rate), "sampling_rate": rate}, RATE)
    assert abs(len(found) / (2 * RATE) - 1) <= max(error, 1 / RATE)
    time = np.arange(len(found)) / RATE
    assert np.abs(found.numpy() - 0.5 * np.sin(2 * np.pi * 440 * time))[200:-200].max() < 2 * np.pi * 440 * error + 5e-3
    assert abs(resampling.ratio(rate, RATE) / Fraction(rate, RATE) - 1) <= error


@pytest.mark.parametrize("format, subtype", EXACT + LOSSY)
@pytest.mark.parametrize("wanted", [16000, 22050])
def test_a_stretch_equals_the_same_samples_of_the_whole(tmp_path, format, subtype, wanted):
    (tmp_path / "a").write_bytes(encoded(speech(3), format=format, subtype=subtype))
    whole, generator = read(tmp_path / "a", wanted), np.random.default_rng(0)
    last = len(whole) / wanted
    stretches = [(0, 0.1), (last - 0.01, last), (last - 0.7, last), (1.1, 9.0), (0.5, 0.5 + 1 / wanted)]
    stretches += [(start, start + generator.uniform(0.01, 2)) for start in generator.uniform(0, last - 0.1, 20)]
    for start, end in stretches:
        expected = whole[round(start * wanted) : round(end * wanted)]
        for found in (read(tmp_path / "a", wanted, start, end), read(Window(tmp_path / "a", start, end), wanted)):
            assert found.shape == expected.shape and (found - expected).abs().max() < 1e-5


def test_a_stretch_of_a_window_counts_from_its_start():
    raw = {"array": tone(4), "sampling_rate": RATE}
    window = Window(Window(raw, 1.0, 3.0), 0.5, 9.0)
    assert np.array_equal(read(window, RATE), tone(4)[24000:48000])
    assert np.array_equal(read(window, RATE, 0.25, 0.5), tone(4)[28000:32000])
    assert read_header(window) == (RATE, 24000) and start_of(window) == 1.5 and start_of(raw) == 0.0


def test_a_stretch_behind_the_end_says_how_long_the_recording_is():
    with pytest.raises(ValueError, match=r"from 2.000 to 3.000 s: the recording has 1.000 s"):
        read({"bytes": encoded(tone())}, RATE, 2.0, 3.0)


@pytest.mark.parametrize("format", ["WAV", "MP3", "OGG"])
def test_interleaved_readings_in_threads_do_not_disturb_each_other(tmp_path, format):
    files = []
    for seed in range(3):
        files.append(tmp_path / f"{seed}")
        files[-1].write_bytes(encoded(speech(3, seed), format=format))
    wholes = [read(file, RATE) for file in files]
    wrong = []

    def look(seed):
        generator = np.random.default_rng(seed)
        for number in generator.integers(0, 3, 30):
            start = generator.uniform(0, 2.5)
            found, first = read(files[number], RATE, start, start + 0.4), round(start * RATE)
            wrong.append(not torch.equal(found, wholes[number][first : round((start + 0.4) * RATE)]))

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert len(wrong) == 120 and not any(wrong)


def test_a_forked_process_does_not_move_its_parents_place(tmp_path):
    (tmp_path / "a").write_bytes(encoded(speech(9), format="FLAC"))
    whole = read(tmp_path / "a", RATE)
    assert torch.equal(read(tmp_path / "a", RATE, 0, 1), whole[:RATE])  # stays open
    child = os.fork()
    if not child:
        os._exit(0 if torch.equal(read(tmp_path / "a", RATE, 5, 6), whole[5 * RATE : 6 * RATE]) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert torch.equal(read(tmp_path / "a", RATE, 1, 2), whole[RATE : 2 * RATE])


def test_windows_of_a_long_mp3_are_decoded_once(tmp_path, monkeypatch):
    import soundfile

    (tmp_path / "a").write_bytes(encoded(speech(12), format="MP3"))
    decoded, plain = [], soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, frames, **o: decoded.append(frames) or plain(self, frames, **o)
    )
    parts = [read(tmp_path / "a", RATE, start / 2, start / 2 + 1) for start in range(23)]
    assert sum(decoded) == 12 * RATE and len(parts[-1]) == RATE


def test_a_header_is_read_anew_when_the_file_changed(tmp_path):
    write(tmp_path / "a.wav", tone(1))
    assert read_header(tmp_path / "a.wav") == (RATE, RATE) and len(read(tmp_path / "a.wav", RATE, 0.0, 0.5)) == 8000
    write(tmp_path / "a.wav", tone(2), 8000)
    assert read_header(tmp_path / "a.wav") == (8000, 32000) and len(read(tmp_path / "a.wav", RATE)) == 64000


def test_floats_beyond_one_and_clipping_and_silence_are_kept():
    loud = 3 * tone()
    assert np.array_equal(read({"bytes": encoded(loud, subtype="FLOAT")}, RATE), loud)
    assert read({"bytes": encoded(loud)}, RATE).abs().max() == 1
    assert read({"bytes": encoded(0 * loud)}, RATE).abs().max() == 0
    huge = np.full(10, 1e30, np.float32)  # finite, though its square is not
    assert np.array_equal(read({"bytes": encoded(huge, subtype="FLOAT")}, RATE), huge)


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_recording_says_so(tmp_path, name):
    data, reason = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    for raw in (tmp_path / name, {"bytes": data}):
        with pytest.raises(ValueError, match=reason):
            read(raw, RATE)


@pytest.mark.parametrize("name", [
    "empty.wav", "text.wav", "phone.wav", "header.wav", "none.wav", "slow.wav", "half.wav", "half.aiff", "half.ogg",
])  # fmt: skip
def test_the_header_alone_tells_what_is_wrong(name):
    with pytest.raises(ValueError, match=BROKEN[name][1]):
        verify({"bytes": BROKEN[name][0]})


@pytest.mark.parametrize("raw, reason", [
    ("missing.wav", "there is no such file"), ("/", "is a folder"), ("a\0b.wav", "cannot be read"),
    ({"bytes": None, "path": None}, "neither bytes nor a path"), (None, "expected a recording"), ("", "expected"),
    ({"array": np.zeros((2, 16000)), "sampling_rate": RATE}, "N, channels"),
    ({"array": np.zeros(0), "sampling_rate": RATE}, "no samples"),
    ({"array": np.zeros(9)}, "sampling_rate"),
    ({"array": np.zeros(9), "sampling_rate": 10}, "1,000 to 768,000 Hz"),
    ({"array": ["a"], "sampling_rate": RATE}, "integers or floats"),
    ({"array": [0.0, np.nan], "sampling_rate": 2000}, "1 sample that is NaN or infinite, at 0.001 s"),
])  # fmt: skip
def test_a_raw_example_that_is_no_recording_says_so(raw, reason):
    with pytest.raises(ValueError, match=reason):
        read(raw, RATE)


def test_a_stream_whose_header_does_not_tell_its_length_is_read_whole():
    wav, flac = encoded(tone()), bytearray(encoded(tone(), format="FLAC"))
    flac[21], flac[22:26] = flac[21] & 0xF0, b"\0\0\0\0"
    for data in (with_field(wav, b"data", 4, 0xFFFFFFFF), with_field(wav, b"data", 4, 0x7FFFFFFF), bytes(flac)):
        assert np.allclose(read({"bytes": data}, RATE), tone(), atol=2**-15)


def test_an_mp3_that_does_not_tell_its_length_is_counted_or_refused():
    silence, hiss = np.zeros(5 * RATE, np.float32), 0.3 * np.random.default_rng(0).standard_normal(5 * RATE)
    loud_first, quiet_first = (np.concatenate(parts) for parts in ((hiss, silence), (silence, hiss)))
    with pytest.raises(ValueError, match="does not tell its length"):  # guessed from its first, large frame
        verify({"bytes": without_tag(encoded(loud_first, format="MP3", bitrate_mode="VARIABLE"))})
    data = without_tag(encoded(quiet_first, format="MP3", bitrate_mode="VARIABLE"))
    assert abs(read_header({"bytes": data}).frames - 10 * RATE) < 2000
    assert abs(len(read({"bytes": data}, RATE)) - 10 * RATE) < 2000


def test_damaged_files_of_all_kinds_never_end_the_process(tmp_path):
    """In a process of its own, for a crash would take the tests along; decoders also write there what they think."""
    script = tmp_path / "damage.py"
    script.write_text(
        "import sys, numpy as np\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from audio.sounds import encoded, speech\n"
        "from inarch_audio.sound_files import OpenFile\n"
        "generator, outcomes = np.random.default_rng(0), [0, 0]\n"
        f"for format, subtype in {EXACT + LOSSY!r}:\n"
        "    whole = encoded(speech(0.5), format=format, subtype=subtype)\n"
        "    for _ in range(40):\n"
        "        data = bytearray(whole)\n"
        "        for place in generator.integers(0, generator.choice([200, len(data)]), 5):\n"
        "            data[place] = generator.integers(256)\n"
        "        try:\n"
        "            file = OpenFile(bytes(data))\n"
        "            outcomes[0] += bool(np.isfinite(file.mono(0, file.header.frames)).all())\n"
        "        except ValueError:\n"
        "            outcomes[1] += 1\n"
        "print(*outcomes)\n"
    )
    finished = subprocess.run([sys.executable, "-W", "error", str(script)], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    read_well, refused = map(int, finished.stdout.splitlines()[-1].split())
    assert read_well + refused == 320 and min(read_well, refused) > 30


def test_verify_is_fast_and_reads_the_header_alone(tmp_path):
    write(tmp_path / "a.flac", speech(20))
    start = time.perf_counter()
    for number in range(50):
        os.utime(tmp_path / "a.flac", (number, number))  # else the header is remembered
        verify(tmp_path / "a.flac")
    assert (time.perf_counter() - start) / 50 < 3e-3  # 0.15 ms here; the bound is for busy machines


def test_the_plugin_and_its_check_import_nothing_heavy(tmp_path):
    path = write(tmp_path / "a.wav", tone())
    code = f"""
import sys
from inarch_audio import augment, builders
assert not {{"soundfile", "numpy"}} & sys.modules.keys()
builders.verify({str(path)!r})
assert not {{"torch", "torchaudio", "transformers", "timm"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_a_text_named_mp3_is_refused_without_a_word_of_the_decoder(tmp_path, capfd):
    (tmp_path / "text.MP3").write_bytes(b"the cat sat on the mat\n" * 99)
    with pytest.raises(ValueError, match="is text, not sound"):
        read(tmp_path / "text.MP3", RATE)
    assert capfd.readouterr() == ("", "")
