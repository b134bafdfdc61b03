"""Files of sound, opened and decoded by libsndfile. soundfile and numpy only; imports no torch.

MP3 and Ogg are only read forward. A seek in an MP3 forgets the bits that frames borrow from the ones before, and
libsndfile 1.2.2 loses its place when it seeks into the last page of an Ogg Vorbis file: other samples than reading on.
"""

import io
import os
import re
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

RATES = (1_000, 768_000)  # Hz; what lies beyond is a broken header
_FORWARD = ("OGG", "MP3")
_BLOCK = 1 << 20  # frames that are decoded at once
_HEAD = 4096  # bytes that tell what a file is
_TRAILER = 4096  # bytes of tags that may follow the sound
_UNKNOWN = 1 << 40  # frames; a stream of FLAC stands with more
_CHUNK_SIZES = re.compile(r"(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)")
_STREAMED = 0x7FFF0000  # bytes; sizes above stand for "not known when the header was written"
_OGG_CUT = re.compile(r"lacks an end-of-stream bit|Junk after the last page")
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"ID3", b".snd", b"caff", b"riff")


class Header(NamedTuple):
    """What a header tells of a recording."""

    sample_rate: int
    """Hz."""
    frames: int
    """Samples of each channel."""


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks after every read to where it is, which spoils MP3: it does not if a file is not seekable."""

    def seekable(self) -> bool:
        return False


class OpenFile:
    """A file that is open for reading; a source is its path, or its bytes."""

    def __init__(self, source: str | bytes) -> None:
        self.source = source
        self._rewind()
        self.header = _check(self._file, source)

    def mono(self, first: int, last: int) -> np.ndarray:
        """Return frames [first, last), float32 (N,), the mean of the channels."""
        count = last - first
        if self._file.format not in _FORWARD:
            return self._decode(count, first)
        if first < self._position - len(self._kept):
            self._rewind()
        while self._position < first:
            self._kept = self._decode(min(_BLOCK, first - self._position))  # what was decoded last, for overlaps
        held = self._kept[first - self._position + len(self._kept) :][:count]
        if len(held) == count:
            return held.copy()
        self._kept = np.concatenate([held, self._decode(count - len(held))])
        return self._kept.copy()

    @property
    def exhausted(self) -> bool:
        """Whether the last frame was read."""
        return self._position >= self.header.frames

    def _rewind(self) -> None:
        self._file, self._position, self._kept = _open(self.source), 0, np.zeros(0, np.float32)

    def _decode(self, count: int, first: int | None = None) -> np.ndarray:
        """Return the next frames, or those from the frame `first` on."""
        parts = []
        try:
            if first not in (None, self._position):  # a seek costs as much as opening the file
                self._position = self._file.seek(first)
            while count > 0:  # a header may promise more than memory holds: never ask for all of it at once
                data = self._file.read(min(count, _BLOCK), dtype="float32", always_2d=True)
                parts.append(downmix(data))
                verify_finite(parts[-1], self.header.sample_rate, self._position)
                self._position += len(data)
                if len(data) < min(count, _BLOCK):
                    raise ValueError(f"is cut off or damaged: only {self._reached()} can be decoded")
                count -= len(data)
        except soundfile.SoundFileError as error:
            raise ValueError(f"is cut off or damaged after {self._reached()}: {error}") from None
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _reached(self) -> str:
        return f"{self._position:,} of {self.header.frames:,} samples"


_LAST = threading.local()


def opened(source: str | bytes, identity: Any) -> OpenFile:
    """Return a file, the one that this thread had open before if its identity is the same."""
    identity = (os.getpid(), identity)  # a forked process would move its parent's place in the file
    last = getattr(_LAST, "file", None)
    if last is not None and last[0] == identity:
        return last[1]
    _LAST.file = None
    file = OpenFile(source)
    _LAST.file = (identity, file)
    return file


def close_last() -> None:
    """Close the file that this thread has open."""
    _LAST.file = None


def downmix(data: np.ndarray) -> np.ndarray:
    """Return the mean (N,) of channels (N, channels)."""
    channels = data.shape[1]
    if channels == 1:
        return data[:, 0]
    with np.errstate(all="ignore"):  # NaN and infinite values get an error of their own
        return data @ np.full(channels, 1 / channels, data.dtype)


def verify_finite(samples: np.ndarray, sample_rate: int, first: int = 0) -> None:
    """Raise ValueError if samples (N,), of which the first is frame `first`, are not all finite."""
    with np.errstate(all="ignore"):
        if np.isfinite(np.dot(samples, samples)):  # one fast pass; large values overflow, and are then looked at singly
            return
    bad = np.flatnonzero(~np.isfinite(samples))
    if len(bad):
        second = (first + int(bad[0])) / sample_rate
        found = "1 sample that is" if len(bad) == 1 else f"{len(bad):,} samples that are"
        raise ValueError(f"holds {found} NaN or infinite, {'' if len(bad) == 1 else 'the first '}at {second:.3f} s")


def _open(source: str | bytes) -> _SoundFile:
    try:
        if isinstance(source, str) and source.lower().endswith(".mp3") and _as_text(_head(source)) is not None:
            raise ValueError("libsndfile would look for frames in it all the same, and print what it finds instead")
        return _SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except Exception as error:  # libsndfile's errors, and soundfile's own for odd names
        raise ValueError(_why_unreadable(source, error)) from None


def _check(file: _SoundFile, source: str | bytes) -> Header:
    """Return the header of a file just opened; ValueError if it is empty, cut off or absurd."""
    rate, frames, log = file.samplerate, file.frames, file.extra_info
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"its header is broken: a sample rate of {rate:,} Hz")
    for promised, found in _CHUNK_SIZES.findall(log):
        if int(promised) < _STREAMED:
            raise ValueError(
                f"is cut off: holds {int(found):,} of the {int(promised):,} bytes that its header promises"
            )
    if file.format == "OGG" and _OGG_CUT.search(log):
        raise ValueError(f"is cut off: its last page is not complete, after {frames:,} samples")
    if frames > _UNKNOWN or (file.format == "MP3" and not _tells_length(source)):
        frames = _count(source)
    if frames == 0:
        raise ValueError("holds no samples")
    return Header(rate, frames)


def _tells_length(source: str | bytes) -> bool:
    """Whether an MP3 has the tag in its first frame that tells its length; else libsndfile guesses from its size."""
    start = 0
    head = _head(source)
    if head.startswith(b"ID3"):
        start = 10 + sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(head[6:10])))
        head = _head(source, start)
    return any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))


def _count(source: str | bytes) -> int:
    """Return the number of frames of a file whose header does not tell it, by decoding it."""
    frames = 0
    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as stream:
        try:
            with _SoundFile(stream) as file:
                while read := len(file.read(min(_BLOCK, file.frames - frames), dtype="float32", always_2d=True)):
                    frames += read
                guessed = file.format == "MP3"
        except soundfile.SoundFileError as error:
            raise ValueError(f"is cut off or damaged after {frames:,} samples: {error}") from None
        left = -stream.tell() + stream.seek(0, io.SEEK_END)
    if guessed and left > _TRAILER:
        raise ValueError(f"does not tell its length, and libsndfile would stop after {frames:,} samples: convert it")
    return frames


def _why_unreadable(source: str | bytes, error: Exception) -> str:
    try:
        head = _head(source)
    except FileNotFoundError:
        return "there is no such file"
    except IsADirectoryError:
        return "is a folder, not a recording"
    except (OSError, ValueError) as problem:
        return f"cannot be read: {getattr(problem, 'strerror', None) or problem}"
    if not head:
        return "is empty"
    reason = str(getattr(error, "error_string", error))
    if head.startswith(_MAGIC):
        return f"not a readable recording, its header is broken or cut off: {reason}"
    if head[4:8] == b"ftyp":
        return "is MPEG-4 (m4a, mp4), which libsndfile does not read; convert it to flac or wav"
    if (text := _as_text(head)) is not None:
        return f"is text, not sound; it begins with {text[:40]!r}"
    return "not a recording in any format that libsndfile reads (wav, flac, ogg, mp3, aiff), or its header is broken"


def _head(source: str | bytes, start: int = 0) -> bytes:
    if isinstance(source, bytes):
        return source[start : start + _HEAD]
    with Path(source).open("rb") as file:
        file.seek(start)
        return file.read(_HEAD)


def _as_text(head: bytes) -> str | None:
    text = head.decode("utf-8", errors="ignore")  # a character may be cut at the end
    readable = len(text.encode()) > len(head) - 4 and all(
        character.isprintable() or character.isspace() for character in text
    )
    return text if readable else None
