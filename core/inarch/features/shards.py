"""Files of features: written whole or not at all, memory-mapped, a check for every row. Light: imports no torch.

A shard is a safetensors file of `values` (N, D) in fp32, `checks` (N,) and `keys` (N, 32); a row's check is the CRC-32
of its key and values. It is written aside, fsynced, renamed and never changed: processes may write and read at once,
and one that is killed leaves a file that nobody has locked.
"""

import fcntl
import json
import os
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

_TYPES = {"values": ("F32", "<f4"), "checks": ("U32", "<u4"), "keys": ("U8", "u1")}


class Shard(NamedTuple):
    """An open shard."""

    path: Path
    keys: Array
    checks: Array
    values: Array

    def is_whole(self, row: int) -> bool:
        """Say whether a row is what was written."""
        return bool(_check(self.keys[row], self.values[row]) == self.checks[row])

    def good(self) -> Iterator[tuple[bytes, Array]]:
        """Yield key and values (D,) of every row that is whole."""
        for row in range(len(self.keys)):
            if self.is_whole(row):
                yield self.keys[row].tobytes(), self.values[row]


def open_shard(path: Path) -> Shard | None:
    """Map a shard; None: the file is cut off, is something else, or is gone."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length < 1 << 16 else {}
        start = 8 + length
        if path.stat().st_size != start + max(entry["data_offsets"][1] for entry in header.values()):
            return None
        arrays = {
            name: _map(path, kind, start + header[name]["data_offsets"][0], tuple(header[name]["shape"]))
            for name, (_, kind) in _TYPES.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None
    count = len(arrays["values"])
    fits = arrays["values"].ndim == 2 and arrays["checks"].shape == (count,) and arrays["keys"].shape == (count, 32)
    return Shard(path, **arrays) if fits else None


def write_shard(path: Path, keys: Array, values: Array) -> None:
    """Write keys (N, 32) and values (N, D)."""
    checks = np.fromiter(map(_check, keys, values), np.uint32, len(keys))
    arrays = {"values": np.ascontiguousarray(values, np.float32), "checks": checks, "keys": keys}
    header, start = {}, 0
    for name, array in arrays.items():
        places = [start, start + array.nbytes]
        header[name] = {"dtype": _TYPES[name][0], "shape": list(array.shape), "data_offsets": places}
        start += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with written(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.data)


@contextmanager
def written(final: Path) -> Iterator[Any]:
    """Give a file to write to; when the block ends, make it durable and rename it. As long as it is open it is locked.

    One that disappears meanwhile, with its folder for example, is a FileNotFoundError.
    """
    aside = final.with_name(f".{uuid.uuid4().hex[:16]}")
    try:
        with aside.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
            aside.rename(final)
        folder = os.open(final.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        aside.unlink(missing_ok=True)


def remove_leftovers(root: Path) -> None:
    """Remove what killed processes left in a folder and those in it: files that nobody has locked, folders on their way
    out."""
    for path in [*root.glob(".*"), *root.glob("*/.*")]:
        try:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        except OSError:
            continue  # somebody is writing it, or it just went


def _check(key: Array, values: Array) -> int:
    return zlib.crc32(values.data, zlib.crc32(key.data))


def _map(path: Path, kind: str, offset: int, shape: tuple[int, ...]) -> Array:
    """Map an array; it may be written to without changing the file, for torch warns of arrays that may not."""
    return np.asarray(np.memmap(path, kind, "c", offset, shape))
