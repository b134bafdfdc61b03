"""Raw examples as mono waveforms, whatever the file holds. soundfile and numpy; torch only for what `read` returns.

A raw example is the path of a file, a mapping with `bytes` or `path` (as Hugging Face `datasets` hands out undecoded
audio) or with `array` (N,) or (N, channels) and `sampling_rate` in Hz, or a `Window` of any of these. What is no
recording is a ValueError that says why.

Rules: channels are averaged; integers are scaled to -1..1; floats are kept as they are, also beyond -1..1; silence and
clipping are recordings like others; NaN and infinite samples are an error, and so is a file with fewer samples than
its header promises.
"""

import os
import stat
from collections.abc import Mapping
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inarch_audio import sound_files
from inarch_audio.sound_files import RATES, Header

if TYPE_CHECKING:
    from torch import Tensor

_MOST_CHANNELS = 32  # an array with more is most likely (channels, N)


def verify(raw: Any) -> None:
    """Check the header of a raw example: is it there, and is it a recording?"""
    read_header(raw)
    sound_files.close_last()


def read_header(raw: Any) -> Header:
    """Return the sample rate and the number of samples of a raw example; of a file only the header is read.

    The number of a window's samples is that of its stretch. Headers of files are kept, as long as size and time of
    change stay the same.
    """
    raw, start, end = _split(raw)
    if isinstance(raw, Mapping) and raw.get("array") is not None:
        header = _array_header(raw)
    else:
        source, identity = _source(raw)
        header = (_file_header if isinstance(source, str) else _header)(source, identity)
    if start == 0 and end == inf:
        return header
    first, last = _stretch(start, end, header.sample_rate, header.frames)
    return Header(header.sample_rate, last - first)


def read(raw: Any, sample_rate: int, start: float = 0.0, end: float = inf) -> "Tensor":
    """Return a raw example, float32 (N,), at `sample_rate` Hz; with `start` and `end` that stretch, in seconds.

    Only what the stretch needs is decoded; it equals the same samples of the whole. It ends with the recording.
    """
    import torch

    from inarch_audio import resampling

    raw, window_start, window_end = _split(raw)
    start, end = window_start + start, min(window_end, window_start + end)
    file = None if isinstance(raw, Mapping) and raw.get("array") is not None else sound_files.opened(*_source(raw))
    rate, frames = _array_header(raw) if file is None else file.header
    ratio = resampling.ratio(rate, sample_rate)
    first, last = _stretch(start, end, sample_rate, resampling.resampled_length(frames, ratio))
    begin, finish = (first, last) if ratio == 1 else resampling.needed(first, last, ratio)
    inside = max(0, begin), min(finish, frames)
    samples = _from_array(raw, *inside) if file is None else file.mono(*inside)
    if file is not None and file.exhausted:
        sound_files.close_last()
    waveform = torch.from_numpy(samples)
    if ratio == 1:
        return waveform
    padded = torch.nn.functional.pad(waveform, (inside[0] - begin, finish - inside[1]))
    return resampling.apply(padded, first, last, ratio)


def start_of(raw: Any) -> float:
    """Return where a raw example begins, in seconds: a window in its recording, any other at 0."""
    return _split(raw)[1]


def _split(raw: Any) -> tuple[Any, float, float]:
    """Return the recording and the stretch of it, in seconds. A Window is a tuple; its class would import torch."""
    if not isinstance(raw, tuple):
        return raw, 0.0, inf
    inside, start, end = _split(raw[0])
    return inside, start + raw[1], min(end, start + raw[2])


def _stretch(start: float, end: float, rate: int, count: int) -> tuple[int, int]:
    """Return the samples [first, last) of `count` that lie from `start` to `end` seconds."""
    first, last = max(0, round(start * rate)), count if end == inf else min(count, round(end * rate))
    if first >= last:
        raise ValueError(f"nothing lies from {start:.3f} to {end:.3f} s: the recording has {count / rate:.3f} s")
    return first, last


def _source(raw: Any) -> tuple[str | bytes, Any]:
    """Return the path or the bytes of a file, and what tells it from others and from itself before a change."""
    if isinstance(raw, Mapping):
        data, path = raw.get("bytes"), raw.get("path")
        if data is not None:
            data = bytes(data)
            return data, id(data)  # whoever keeps the identity keeps the bytes as well
        if path is None:
            raise ValueError("has neither bytes nor a path, and no array")
        raw = path
    if not isinstance(raw, str | Path) or not str(raw):
        raise ValueError(f"expected a recording or the path of one, found {raw!r}")
    path = os.path.expanduser(raw)  # noqa: PTH111  (Path.expanduser raises for an unknown user)
    try:
        status = os.stat(path)  # noqa: PTH116  (a path need not become an object to be looked at)
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # it would be waited for
        raise ValueError("is a pipe, a socket or a device, not a file")
    return path, (path, status.st_size, status.st_mtime_ns)


def _header(source: str | bytes, identity: Any) -> Header:
    return sound_files.opened(source, identity).header


_file_header = lru_cache(maxsize=1 << 14)(_header)


def _array_header(raw: Mapping[str, Any]) -> Header:
    array, rate = np.asarray(raw["array"]), raw.get("sampling_rate")
    if not isinstance(rate, int | np.integer) or not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"expected sampling_rate to be {RATES[0]:,} to {RATES[1]:,} Hz beside array, found {rate!r}")
    channels = array.shape[1] if array.ndim == 2 else 1
    if array.ndim not in (1, 2) or channels > _MOST_CHANNELS or array.dtype.kind not in "iuf":
        expected = "array (N,) or (N, channels) of integers or floats"
        raise ValueError(f"expected {expected}, found {array.shape} of {array.dtype}")
    if not array.size:
        raise ValueError("holds no samples")
    return Header(int(rate), len(array))


def _from_array(raw: Mapping[str, Any], first: int, last: int) -> np.ndarray:
    """Return samples [first, last) as float32 (N,)."""
    array = np.asarray(raw["array"])[first:last]
    if array.dtype.kind in "iu":
        limits = np.iinfo(array.dtype)
        half = 1 << (limits.bits - 1)
        array = (array.astype(np.float64) - (0 if limits.min else half)) / half
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, which is an error
        array = array.astype(np.float32)
    mono = sound_files.downmix(array if array.ndim == 2 else array[:, None])
    sound_files.verify_finite(mono, int(raw["sampling_rate"]), first)
    return mono
