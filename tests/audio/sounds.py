"""Sounds for tests: tones, something like speech, and files that are odd or broken."""

import io
import struct
from functools import cache

import numpy as np
import soundfile

RATE = 16000  # Hz


def tone(seconds=1.0, frequency=440.0, rate=RATE, amplitude=0.5):
    """Return a sine, float32 (N,)."""
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def speech(seconds=1.0, seed=0, rate=RATE):
    """Return vowels of changing pitch and colour with pauses and breath, float32 (N,), a little like speech."""
    return _speech(seconds, seed, rate).copy()


@cache
def _speech(seconds, seed, rate):
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    knots = np.linspace(0, seconds, max(4, round(6 * seconds)))
    pitch, first, second, loudness = (
        np.interp(time, knots, generator.uniform(low, high, len(knots)))
        for low, high in ((90, 220), (300, 800), (900, 2400), (-0.3, 1))
    )
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    waveform = np.zeros_like(time)
    for harmonic in range(1, 24):
        weight = sum(np.exp(-(((harmonic * pitch - formant) / 200) ** 2)) for formant in (first, second))
        waveform += weight * np.sin(harmonic * phase) * (harmonic * pitch < 0.45 * rate)
    breath = 0.003 * generator.standard_normal(len(time))
    return (0.15 * loudness.clip(0) * waveform + breath).astype(np.float32)


def encoded(samples, rate=RATE, format="WAV", subtype=None, **options):
    """Return samples (N,) or (N, channels) as the bytes of a file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype, **options)
    return buffer.getvalue()


def write(path, samples, rate=RATE, **options):
    """Write samples (N,) or (N, channels) to a file, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **options)
    return path


def with_field(data, name, offset, value):
    """Return a WAV with an unsigned 32-bit field changed that lies `offset` bytes behind the name of a chunk."""
    place = data.index(name) + offset
    return data[:place] + struct.pack("<I", value) + data[place + 4 :]


def without_tag(data):
    """Return an MP3 without its first frame, whose tag tells the length."""
    return data[data.index(data[:2], max(data.find(b"Xing"), data.find(b"Info")) + 100) :]


def broken():
    """Return name -> (bytes, what the error says) of files that are no recordings."""
    wav, flac = encoded(tone()), encoded(speech(), format="FLAC")
    ogg, mp3 = encoded(speech(3), format="OGG"), encoded(speech(), format="MP3")
    nan = tone()
    nan[[4000, 4001]] = np.nan, np.inf
    return {
        "empty.wav": (b"", "is empty"),
        "text.wav": (b"the cat sat on the mat\n" * 9, "is text, not sound; it begins with 'the cat"),
        "photo.wav": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 9, "not a recording in any format|is cut off"),
        "phone.wav": (b"\0\0\0\x20ftypM4A " + b"\0" * 99, "MPEG-4"),
        "header.wav": (wav[:30], "header is broken or cut off"),
        "none.wav": (encoded(np.zeros(0, np.float32)), "no samples"),
        "slow.wav": (with_field(wav, b"fmt ", 12, 7), "sample rate of 7 Hz"),
        "half.wav": (wav[: 44 + 16000], "holds 16,000 of the 32,000 bytes"),
        "half.aiff": (encoded(tone(), format="AIFF")[:16000], "is cut off: holds"),
        "half.flac": (flac[: len(flac) // 2], "is cut off or damaged after 0 of 16,000"),
        "half.ogg": (ogg[: len(ogg) // 2], "last page is not complete"),
        "half.mp3": (mp3[: len(mp3) // 2], "only .* of 16,000 samples can be decoded"),
        "hole.ogg": (ogg[: len(ogg) // 2] + b"\0" * 300 + ogg[len(ogg) // 2 + 300 :], "only .* of 48,000"),
        "nan.wav": (encoded(nan, subtype="FLOAT"), "2 samples that are NaN or infinite, the first at 0.250 s"),
    }
