"""Features on disk: content-addressed, immutable shards, verified on read, limited in size. Light: imports no torch.

    CACHE/features/limit                      bytes, where `inarch cache --limit` has set it
    CACHE/features/TABLE/table.json           what the features are of; its time is when they were last used
    CACHE/features/TABLE/SHARD.safetensors    `values` (N, D) in fp32, `keys` (N, 32), `checks` (N,)

TABLE is the hash of what table.json says, SHARD that of its keys; a row's check is the CRC-32 of its key and values. A
file is written aside, fsynced and renamed, and never changed: processes may write and read at once without a lock, and
one that is killed leaves what the next writer removes.
"""

import fcntl
import hashlib
import json
import os
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

LIMIT = 10 * 10**9
"""Bytes that the tables may take where nobody says otherwise."""
SHARDS = 32
"""Shards of a table beyond which they are put together."""
DESCRIPTION = "table.json"


class Shard(NamedTuple):
    """One file of features, memory-mapped."""

    path: Path
    keys: Array
    checks: Array
    values: Array

    def is_whole(self, row: int) -> bool:
        """Say whether a row is what was written."""
        return bool(_check(self.keys[row], self.values[row]) == self.checks[row])


@dataclass(frozen=True)
class Summary:
    """What is known of a table without reading its features."""

    path: Path
    description: Mapping[str, Any]
    rows: int
    size: int
    """Bytes."""
    used: float
    """When it was last used, in seconds since 1970."""


class Store:
    """The features that this machine keeps: in `root`, else $INARCH_CACHE, else the user's cache folder."""

    def __init__(self, root: Path | None = None) -> None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inarch"
        self.root = (root or Path(os.environ.get("INARCH_CACHE") or home)) / "features"

    @property
    def limit(self) -> int:
        """Return the bytes that the tables may take: $INARCH_CACHE_LIMIT, else what `inarch cache --limit` set."""
        chosen = os.environ.get("INARCH_CACHE_LIMIT")
        if chosen:
            return parse_size(chosen)
        try:
            return int((self.root / "limit").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return LIMIT

    def table(self, description: Mapping[str, Any]) -> "Table":
        """Return the table of the features that a description, plain data, stands for."""
        written = json.dumps(description, sort_keys=True, default=str)
        return Table(self, hashlib.sha256(written.encode()).hexdigest()[:32], written)

    def tables(self) -> list[Summary]:
        """Return what is known of every table, the least recently used first."""
        found = []
        for path in self.root.glob(f"*/{DESCRIPTION}"):
            try:
                description, used = json.loads(path.read_text(encoding="utf-8")), path.stat().st_mtime
                shards = [shard for shard in map(open_shard, path.parent.glob("*.safetensors")) if shard]
                size = sum(file.stat().st_size for file in path.parent.iterdir())
            except (OSError, ValueError):
                continue  # being removed by another process
            found.append(Summary(path.parent, description, sum(len(shard.keys) for shard in shards), size, used))
        return sorted(found, key=lambda summary: summary.used)

    def make_room(self, size: int, keep: Path | None = None) -> bool:
        """Remove the least recently used tables until `size` more bytes fit into the limit; say whether they do."""
        tables, limit = self.tables(), self.limit
        held = sum(table.size for table in tables)
        for table in tables:
            if held + size > limit and table.path != keep:
                self.remove(table.path)
                held -= table.size
        return held + size <= limit

    def remove(self, table: Path) -> None:
        """Remove a table; those who have it mapped keep their features."""
        aside = table.with_name(f".{uuid.uuid4().hex[:16]}")
        table.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


class Table:
    """The features of one backbone, one field and one view, by the keys of the raw inputs."""

    def __init__(self, store: Store, name: str, description: str) -> None:
        self.store, self.path, self.description = store, store.root / name, description
        self.notes: list[str] = []
        self._partial: list[Path] = []
        self._damaged: set[Path] = set()

    def read(self, keys: Sequence[bytes | None]) -> tuple[Array | None, Array]:
        """Return the values (N, D) of keys, and which of them are here and whole (N,); None: there is none at all.

        The values are memory-mapped where the keys lie in a shard one after the other.
        """
        shards = self._shards()
        places = {key.tobytes(): (n, row) for n, shard in enumerate(shards) for row, key in enumerate(shard.keys)}
        found = [places.get(key) if key else None for key in keys]
        present = np.array([place is not None and shards[place[0]].is_whole(place[1]) for place in found], bool)
        broken = {shards[place[0]].path for place, good in zip(found, present, strict=True) if place and not good}
        if broken:
            self._damaged |= broken
            count = sum(place is not None for place in found) - int(present.sum())
            self.notes.append(f"{self.path}: {count:,} stored rows are damaged and are computed anew")
        if not present.any():
            return None, present
        self._touch()
        first = found[0]
        if first and present.all() and found == [(first[0], first[1] + step) for step in range(len(found))]:
            return shards[first[0]].values[first[1] : first[1] + len(found)], present
        values = np.zeros((len(found), shards[0].values.shape[1]), np.float32)
        for index in np.flatnonzero(present).tolist():
            number, row = found[index] or (0, 0)
            values[index] = shards[number].values[row]
        return values, present

    def write(self, keys: Sequence[bytes], values: Array, partial: bool = False) -> None:
        """Keep the values (N, D) of keys. `partial` ones are replaced by what is written last.

        What cannot be stored is told in `notes`; it is no error, for features can be computed again.
        """
        replaced = [] if partial else self._replaced()
        rows = {key: value for shard in replaced for key, value in _good(shard)} | dict(zip(keys, values, strict=True))
        try:
            if not self.store.make_room(values.nbytes + 36 * len(keys), self.path):
                raise OSError(f"more than the cache's limit of {show_size(self.store.limit)} (inarch cache --limit)")
            written = self._write(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 32), np.stack([*rows.values()]))
        except OSError as error:
            told = f"{self.path}: features could not be stored and are used without: {error.strerror or error}"
            self.notes += [] if told in self.notes else [told]
            return
        if partial:
            self._partial.append(written)
        for path in {*self._damaged, *(shard.path for shard in replaced)} - {written} if not partial else ():
            path.unlink(missing_ok=True)

    def _write(self, keys: Array, values: Array) -> Path:
        """Write a shard, and what its table is; a table that another process just removed is made anew."""
        self.store.root.mkdir(parents=True, exist_ok=True)
        _clean(self.store.root)
        checks = np.array(list(map(_check, keys, values)), np.uint32)
        final = self.path / f"{hashlib.sha256(keys.tobytes()).hexdigest()[:32]}.safetensors"
        for last in (False, True):
            try:
                self.path.mkdir(exist_ok=True)
                if not (self.path / DESCRIPTION).exists():
                    with written(self.path / DESCRIPTION) as file:
                        file.write(self.description.encode())
                with written(final) as file:
                    _fill(file, {"values": values, "checks": checks, "keys": keys})
                break
            except FileNotFoundError:
                if last:
                    raise
        return final

    def _replaced(self) -> list[Shard]:
        """Return the shards whose good rows go into the next one: partial, damaged, or too many."""
        shards = self._shards()
        if len(shards) > SHARDS:
            return shards
        return [shard for shard in shards if shard.path in self._damaged or shard.path in self._partial]

    def _shards(self) -> list[Shard]:
        shards = []
        for path in sorted(self.path.glob("*.safetensors")):
            shard = open_shard(path)
            if shard is not None:
                shards.append(shard)
            elif path.exists() and path not in self._damaged:
                self._damaged.add(path)
                self.notes.append(f"{path}: the file is damaged; its features are computed anew")
        return shards

    def _touch(self) -> None:
        try:
            os.utime(self.path / DESCRIPTION)
        except OSError:
            return  # a cache that can only be read, or one that was just removed


def open_shard(path: Path) -> Shard | None:
    """Map a file of features; None: it is not whole, or gone."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length < 1 << 16 else {}
        places = {name: (entry["shape"], 8 + length + entry["data_offsets"][0]) for name, entry in header.items()}
        ends = max(entry["data_offsets"][1] for entry in header.values())
        if path.stat().st_size != 8 + length + ends:
            return None
        (count, _), _ = places["values"]
        if places["keys"][0] != [count, 32] or places["checks"][0] != [count]:
            return None
        types = {"values": "<f4", "keys": "u1", "checks": "<u4"}
        mapped = {  # copy on write: torch warns of arrays that cannot be written to
            name: np.asarray(np.memmap(path, types[name], "c", offset, tuple(shape)))
            for name, (shape, offset) in places.items()
        }
        return Shard(path, **mapped)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None


def _check(key: Array, values: Array) -> int:
    return zlib.crc32(values.data, zlib.crc32(key.data))


def _good(shard: Shard) -> Iterator[tuple[bytes, Array]]:
    for row in range(len(shard.keys)):
        if shard.is_whole(row):
            yield shard.keys[row].tobytes(), shard.values[row]


def _fill(file: Any, arrays: Mapping[str, Array]) -> None:
    """Write arrays in the format of safetensors."""
    types, header, start = {"float32": "F32", "uint32": "U32", "uint8": "U8"}, {}, 0
    for name, array in arrays.items():
        places = [start, start + array.nbytes]
        header[name] = {"dtype": types[array.dtype.name], "shape": list(array.shape), "data_offsets": places}
        start += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for array in arrays.values():
        file.write(np.ascontiguousarray(array).data)


@contextmanager
def written(final: Path) -> Iterator[Any]:
    """Give a file beside `final` to write to; then make it durable and rename it. While it is open it is locked."""
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


def _clean(root: Path) -> None:
    """Remove what killed processes left: files aside that nobody has locked, and folders on their way out."""
    for path in [*root.glob(".*"), *root.glob("*/.*")]:
        try:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        except OSError:
            continue  # somebody is writing it


def parse_size(text: str) -> int:
    """Return the bytes of ``500MB``, ``2 GB`` or ``1000``; raise ValueError where it is not a size."""
    number = text.strip().upper()
    for suffix, factor in {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}.items():
        if number.endswith(suffix):
            return int(float(number.removesuffix(suffix)) * factor)
    return int(number)


def show_size(size: float) -> str:
    """Return bytes in words."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
