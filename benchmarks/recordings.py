"""Time from a file of sound to what the model is given: this plugin against soundfile and torchaudio, written plainly.

    INARCH_DATA=FOLDER python benchmarks/recordings.py [--rounds 15]

Prints one JSON line a case. The three take turns on one thread, as in a loader worker: the plain way, ours, and the
floor, which is soundfile decoding the file without averaging or resampling. Seconds are those of the processor, for
other processes disturb them less; the files are in memory. With INARCH_DATA the sounds are those of
FOLDER/fsdd and FOLDER/esc10, else tones in noise. Goals: never slower than the plain way; a second of a long file in
at most a tenth of the time that decoding it whole takes.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torch
import torchaudio
from figures import report

from inarch_audio.recordings import read

RATE = 16000  # Hz, of the model
LONG = 600  # seconds of the long file
FILES = 64


def plain(path, start=0.0, end=None):
    """Return the waveform, decoded whole and cut afterwards."""
    data, rate = soundfile.read(path, dtype="float32", always_2d=True)
    waveform = torchaudio.functional.resample(torch.from_numpy(data.mean(1)), rate, RATE)
    return waveform[round(start * RATE) : None if end is None else round(end * RATE)]


def ours(path, *stretch):
    return read(path, RATE, *stretch)


def floor(path, *stretch):
    """Return the decoded file, or the frames of the stretch that lie at the same seconds."""
    if not stretch:
        return soundfile.read(path, dtype="float32")[0]
    with soundfile.SoundFile(path) as file:
        file.seek(round(stretch[0] * file.samplerate))
        return file.read(round((stretch[1] - stretch[0]) * file.samplerate), dtype="float32")


def sounds():
    """Return short words (N,) at 8 kHz and longer sounds (N,) at 16 kHz, and where they are from."""
    folder = os.environ.get("INARCH_DATA")
    if folder:
        words = sorted(Path(folder, "fsdd/recordings").glob("*.flac"))
        scenes = sorted(Path(folder, "esc10").rglob("*.ogg"))
        spread = [files[:: max(1, len(files) // FILES)][:FILES] for files in (words, scenes)]
        return *([soundfile.read(file, dtype="float32")[0] for file in files] for files in spread), "fsdd and esc10"
    generator = np.random.default_rng(0)
    made = []
    for rate, seconds in ((8000, 0.45), (16000, 5.0)):
        seconds_in = np.arange(round(rate * seconds)) / rate
        tones = [0.3 * np.sin(2 * np.pi * pitch * seconds_in) for pitch in generator.uniform(100, 3000, FILES)]
        made.append([(tone + 0.05 * generator.standard_normal(len(tone))).astype(np.float32) for tone in tones])
    return *made, "tones in noise"


def cases(folder):
    """Yield name, the arguments of each reading, and where the sounds are from."""
    words, scenes, origin = sounds()
    raise_rate = torchaudio.transforms.Resample(RATE, 44100)
    high = [raise_rate(torch.from_numpy(scene)).clamp(-1, 1).numpy() for scene in scenes]
    stereo = [np.stack([scene, scene[::-1]], 1) for scene in high]
    kinds = {
        "wav 16 kHz": (scenes, RATE, "wav"),
        "flac 8 kHz": (words, 8000, "flac"),
        "ogg 44.1 kHz": (high, 44100, "ogg"),
        "wav 44.1 kHz stereo": (stereo, 44100, "wav"),
        "mp3 44.1 kHz stereo": (stereo, 44100, "mp3"),
    }
    for name, (waveforms, rate, suffix) in kinds.items():
        paths = [str(Path(folder, f"{number} {name}.{suffix}")) for number in range(len(waveforms))]
        for path, waveform in zip(paths, waveforms, strict=True):
            soundfile.write(path, waveform, rate)
        yield name, [(path,) for path in paths], origin
    starts = np.random.default_rng(0).uniform(0, LONG - 1, 5)
    for suffix, rate, waveforms in (("wav", RATE, scenes), ("flac", 44100, high)):
        path = str(Path(folder, f"long.{suffix}"))
        soundfile.write(path, np.resize(np.concatenate(waveforms), LONG * rate), rate)
        yield f"1 s of {LONG} s of {suffix} {rate / 1000:g} kHz", [(path, start, start + 1) for start in starts], origin


def seconds(way, readings):
    start = time.process_time()
    for reading in readings:
        way(*reading)
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, readings, origin in cases(folder):
            waveforms = [(plain(*reading), ours(*reading)) for reading in readings]  # also to warm up
            times = [[seconds(way, readings) for way in (plain, ours, floor)] for _ in range(rounds)]
            heard = sum(len(waveform) for _, waveform in waveforms) / RATE
            columns = zip(("plain", "inarch", "floor"), zip(*times, strict=True), strict=True)
            rate = {way: len(readings) / median(column) for way, column in columns}
            report(f"recordings/{name}", median(row[0] / row[1] for row in times), "times as fast as the plain way",
                   recordings_per_second=rate,
                   seconds_of_sound_per_second={way: value * heard / len(readings) for way, value in rate.items()},
                   of_the_floor=median(row[2] / row[1] for row in times),
                   largest_difference=max(float((a - b).abs().max()) for a, b in waveforms),
                   recordings=len(readings), sounds=origin, libraries=f"soundfile {soundfile.__version__}, "
                   f"libsndfile {soundfile.__libsndfile_version__}, torchaudio {torchaudio.__version__}")  # fmt: skip


if __name__ == "__main__":
    main()
