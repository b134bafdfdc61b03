"""Features on disk: found by content, verified when they are read, limited in size. Light: imports no torch.

    CACHE/features/limit                      bytes, where `inarch cache --limit` has set it
    CACHE/features/TABLE/table.json           what the features are of; its time is when they were last used
    CACHE/features/TABLE/SHARD.safetensors    features by the keys of the raw inputs (see `shards`)

TABLE is the hash of what table.json says, SHARD that of its keys. No lock is held: files come whole, are never changed,
and one that went means that its features are computed again.
"""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from inarch.errors import RunError
from inarch.features.shards import Array, Shard, open_shard, remove_leftovers, write_shard, written
from inarch.turns import cache_folder

LIMIT = 10 * 10**9
"""Bytes that the tables may take where nobody says otherwise."""
SHARDS = 32
"""Shards of a table beyond which they are put together."""
DESCRIPTION = "table.json"


@dataclass(frozen=True)
class Summary:
    """A table seen from outside."""

    path: Path
    description: Mapping[str, Any]
    size: int
    """Bytes."""
    used: float
    """When it was last used, in seconds since 1970."""

    @cached_property
    def rows(self) -> int:
        """Return the number of features, as the files say."""
        return sum(len(shard.keys) for shard in map(open_shard, self.path.glob("*.safetensors")) if shard)


class Store:
    """The features that this machine keeps: in `root`, else $INARCH_CACHE, else the user's cache folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or cache_folder()) / "features"

    @property
    def limit(self) -> int:
        """The bytes that the tables may take: $INARCH_CACHE_LIMIT, else what `limit_to` set. With 0 none is stored."""
        chosen = os.environ.get("INARCH_CACHE_LIMIT")
        if chosen:
            return parse_size(chosen, "INARCH_CACHE_LIMIT")
        try:
            return int((self.root / "limit").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return LIMIT

    def limit_to(self, size: int) -> None:
        """Keep the tables below `size` bytes from now on."""
        self.root.mkdir(parents=True, exist_ok=True)
        with written(self.root / "limit") as file:
            file.write(str(size).encode())
        self.make_room(0, None)

    def table(self, description: Mapping[str, Any]) -> "Table":
        """Return the table of the features that a description, plain data, stands for."""
        _ = self.limit  # a mistake in it is told before anything is computed
        text = json.dumps(description, sort_keys=True, default=str)
        return Table(self, hashlib.sha256(text.encode()).hexdigest()[:32], text)

    def tables(self) -> list[Summary]:
        """Return every table, the least recently used first."""
        found = []
        for path in self.root.glob(f"*/{DESCRIPTION}"):
            try:
                size = sum(file.stat().st_size for file in path.parent.iterdir())
                found.append(Summary(path.parent, json.loads(path.read_bytes()), size, path.stat().st_mtime))
            except (OSError, ValueError):
                continue  # another process is removing it
        return sorted(found, key=lambda table: table.used)

    def make_room(self, size: int, growing: Path | None) -> bool:
        """Remove the least recently used tables until `size` more bytes fit below the limit.

        False, and nothing is removed: they would not fit even if the growing table stood alone.
        """
        tables, limit = self.tables(), self.limit
        if size + sum(table.size for table in tables if table.path == growing) > limit:
            return False
        held = sum(table.size for table in tables)
        for table in tables:
            if held + size > limit and table.path != growing:
                self.remove(table.path)
                held -= table.size
        return True

    def remove(self, table: Path) -> None:
        """Remove a table; who has it mapped keeps its features."""
        aside = table.with_name(f".{uuid.uuid4().hex[:16]}")
        try:
            table.rename(aside)
        except FileNotFoundError:
            return  # another process was first
        shutil.rmtree(aside, ignore_errors=True)

    def verify(self, table: Summary) -> list[str]:
        """Read all of a table and leave out what is damaged; return a sentence for each damaged file."""
        opened = Table(self, table.path.name, json.dumps(dict(table.description), sort_keys=True))
        return opened.verify()


class Table:
    """The features of one backbone, one field and one view, by the keys of the raw inputs."""

    def __init__(self, store: Store, name: str, description: str) -> None:
        self.store, self.path, self.description = store, store.root / name, description
        self.notes: list[str] = []
        """What people should know of it: what was damaged, or could not be stored and why."""
        self._partial: set[Path] = set()
        self._damaged: set[Path] = set()

    def read(self, keys: Sequence[bytes | None]) -> tuple[Array | None, Array]:
        """Return the values (N, D) of keys, and which of them are here and whole (N,); None: none of them is.

        The values are memory-mapped where the keys lie in one shard, one after the other.
        """
        shards = self._shards()
        places = {key: (number, row) for number, shard in enumerate(shards) for row, key in enumerate(_split(shard))}
        found = [places.get(key) if key else None for key in keys]
        whole = np.array([place is not None and shards[place[0]].is_whole(place[1]) for place in found], bool)
        self._tell({shards[place[0]].path for place, good in zip(found, whole, strict=True) if place and not good})
        if not whole.any():
            return None, whole
        self._touch()
        number, first = found[0] or (0, 0)
        if whole.all() and found == [(number, first + step) for step in range(len(found))]:
            return shards[number].values[first : first + len(found)], whole
        values = np.zeros((len(found), shards[0].values.shape[1]), np.float32)
        for index in np.flatnonzero(whole).tolist():
            number, row = found[index] or (0, 0)
            values[index] = shards[number].values[row]
        return values, whole

    def write(self, keys: Sequence[bytes], values: Array, partial: bool = False) -> None:
        """Keep the values (N, D) of keys. What was written as `partial` gives way to what is written last.

        What cannot be stored is told in `notes`; it is no error, for features can be computed again.
        """
        shards = [] if partial else self._shards()
        if len(shards) <= SHARDS:
            shards = [shard for shard in shards if shard.path in self._damaged | self._partial]
        rows = dict(zip(keys, values, strict=True))
        for key, kept in (pair for shard in shards for pair in shard.good()):
            rows.setdefault(key, kept)
        final = self.path / f"{hashlib.sha256(b''.join(rows)).hexdigest()[:32]}.safetensors"
        try:
            if not self.store.make_room(values.nbytes + 36 * len(keys), self.path):
                raise OSError(f"they need more than the {show_size(self.store.limit)} of inarch cache --limit")
            remove_leftovers(self.store.root)
            stacked = values if len(rows) == len(keys) else np.stack([*rows.values()])
            self._write(final, np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 32), stacked)
            if partial:
                self._partial.add(final)
                return
            for path in self._damaged | {shard.path for shard in shards}:
                if path != final:
                    path.unlink(missing_ok=True)
        except OSError as error:
            told = f"{self.path}: features are used without being stored: {error.strerror or error}"
            self.notes += [] if told in self.notes else [told]

    def verify(self) -> list[str]:
        """Write damaged shards anew without what is damaged in them; return a sentence for each."""
        for shard in self._shards():
            if not all(shard.is_whole(row) for row in range(len(shard.keys))):
                self._tell({shard.path})
        damaged = [shard for shard in self._shards() if shard.path in self._damaged]
        rows = {key: values for shard in damaged for key, values in shard.good()}
        if rows:
            self.write(list(rows), np.stack([*rows.values()]))
        else:
            for path in self._damaged:
                path.unlink(missing_ok=True)
        return self.notes

    def _write(self, final: Path, keys: Array, values: Array) -> None:
        """Write a shard, and what its table is; if another process removes the table meanwhile, once more."""
        for last in (False, True):
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                if not (self.path / DESCRIPTION).exists():
                    with written(self.path / DESCRIPTION) as file:
                        file.write(self.description.encode())
                return write_shard(final, keys, values)
            except FileNotFoundError:
                if last:
                    raise

    def _shards(self) -> list[Shard]:
        opened = {path: open_shard(path) for path in sorted(self.path.glob("*.safetensors"))}
        self._tell({path for path, shard in opened.items() if shard is None and path.exists()})
        return [shard for shard in opened.values() if shard is not None]

    def _tell(self, damaged: set[Path]) -> None:
        """Remember files that are damaged, to be replaced by the next one that is written."""
        for path in sorted(damaged - self._damaged):
            self.notes.append(f"{path}: damaged; what does not match its checksum is computed anew")
        self._damaged |= damaged

    def _touch(self) -> None:
        try:
            os.utime(self.path / DESCRIPTION)
        except OSError:
            return  # it can only be read, or another process removed it


def _split(shard: Shard) -> list[bytes]:
    keys = shard.keys.tobytes()
    return [keys[start : start + 32] for start in range(0, len(keys), 32)]


def parse_size(text: str, where: str) -> int:
    """Return the bytes that `500MB`, `2 GB` or `1.5GiB` stand for."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?", text.strip().upper())
    if not found:
        raise RunError(f"{where}: '{text}' is not a size; write for example 500MB, 2GB or 1.5GiB")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix or " "))


def show_size(size: float) -> str:
    """Return bytes in words."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
