"""Small files of pictures and sounds whose headers claim what no machine holds."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

SIDE = 50_000


def pictures(folder: Path, read: Callable[..., str]) -> int:
    """Try pictures; each is refused before it is decoded, or is a damaged one."""
    from inarch_vision.decoding import decode
    from inarch_vision.images import verify

    decode(Image.new("RGB", (8, 8)))  # what it imports, every trial has
    files = {"png": _png(SIDE, SIDE), "honest.png": _png(SIDE, SIDE, True)}
    for kind in ("GIF", "TIFF", "WEBP", "BMP", "JPEG", "ICO", "TGA", "PPM", "JPEG2000"):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 48), "red").save(buffer, kind)
        files[kind.lower()] = _claiming(buffer.getvalue(), kind)
    for name, data in files.items():
        path = folder / f"claim.{name}"
        path.write_bytes(data)
        for raw in (path, {"bytes": data, "path": None}):
            told = read(partial(decode, raw))
            assert told or name in ("ico", "webp", "tga", "ppm", "jpeg2000"), name  # whose size stands twice
            read(partial(verify, raw))
    os.mkfifo(folder / "pipe.png")
    for action in (decode, verify):
        assert "is a pipe" in read(partial(action, folder / "pipe.png"))
    return 2 * len(files) + 2


def _png(width: int, height: int, whole: bool = False) -> bytes:
    """Return a PNG of one bit a pixel; all its rows are there if it is `whole`, in 300 kB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress(bytes((width // 8 + 1) * height) if whole else b"\0", 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _claiming(data: bytes, kind: str) -> bytes:
    """Return a picture of 64 x 48 pixels that says 50,000 or so wherever its header says its size."""
    if kind == "PPM":
        return data.replace(b"64 48", b"50000 50000", 1)
    order = ">" if kind in ("JPEG", "JPEG2000") else "<"
    head, rest = data[:400], data[400:]
    for code in ("I", "H"):
        for size in (64, 48):
            head = head.replace(struct.pack(order + code, size), struct.pack(order + code, SIDE))
    return head + rest


def sounds(folder: Path, read: Callable[..., str]) -> int:
    """Try recordings that claim two hours and more, by the size of their parts and by their length."""
    from inarch_audio.recordings import read as load

    soundfile.write(folder / "honest.wav", np.zeros(800, np.float32), 16_000)
    load(folder / "honest.wav", 16_000)  # what it imports, every trial has
    count = 0
    for kind in ("WAV", "AIFF", "FLAC", "OGG", "AU", "CAF", "W64", "RF64", "MP3"):
        buffer = io.BytesIO()
        soundfile.write(buffer, np.zeros(800, np.float32), 16_000, format=kind)
        data = buffer.getvalue()
        for at in range(4, min(len(data), 64), 4):
            for claim in (struct.pack("<I", 230_400_000), b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"):
                path = folder / f"claim.{kind.lower()}"
                path.write_bytes(data[:at] + claim + data[at + 4 :])
                read(partial(load, path, 16_000))
                count += 1
    os.mkfifo(folder / "pipe.wav")
    assert "is a pipe" in read(partial(load, folder / "pipe.wav", 16_000))
    return count + 1
