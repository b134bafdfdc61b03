"""A data set with one of its trials, and how its rows are read and compared."""

import hashlib
import inspect
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from inarch.interfaces.dataset import Dataset, Rows, Stream
from inarch.plugins import build
from inarch.testing.cases import ComponentCase
from inarch.testing.check import Seen, skip

MOST = 200
"""Rows of a split that are looked at: the first ones."""
_OTHER = """\
import importlib, json, os, sys
sys.path[:] = json.loads(os.environ["INARCH_PATHS"])
from inarch.testing.dataset_case import digest
module, name, options = json.loads(sys.stdin.read())
print("digest", digest(getattr(importlib.import_module(module), name)(**options)))
"""


@dataclass(frozen=True, eq=False)
class DatasetCase(ComponentCase):
    """A data set with one of its trials; each check builds it in a folder of its own."""

    @cached_property
    def problem(self) -> str | None:
        """Why it cannot be tried, and what to write; None: it can."""
        reason = super().problem
        return reason and reason.replace("inarch.Trial(", "inarch.Trial(files={...}, ")

    def built(self, options: Mapping[str, Any] | None = None) -> Dataset:
        """Build it anew, here."""
        found: Dataset = build(self.entry, self.options if options is None else options)
        if not isinstance(found, Dataset):
            raise Seen(f"{self.entry.build.__name__} returned {type(found).__name__}, not an inarch.Dataset")
        return found

    def tables(self) -> list[tuple[Dataset, str, Rows]]:
        """Build it, and return each split of rows by its name."""
        dataset = self.built()
        found = [(dataset, name, rows) for name, rows in dataset.splits.items() if isinstance(rows, Rows)]
        return found or skip("its splits are streams")

    def streams(self) -> list[tuple[str, Stream]]:
        """Build it, and return each split that is a stream by its name."""
        found = [(name, rows) for name, rows in self.built().splits.items() if isinstance(rows, Stream)]
        return found or skip("none of its splits is a stream")

    def digest_elsewhere(self) -> str:
        """Return the digest of the data set that another process builds, with another seed of its hashes."""
        function = inspect.unwrap(self.entry.build)
        if "<" in function.__qualname__ or "." in function.__qualname__:
            skip(f"{function.__qualname__} cannot be imported by name")
        told = json.dumps([function.__module__, function.__qualname__, self.options])
        paths = json.dumps([os.path.abspath(path) for path in sys.path])  # noqa: PTH100
        changes = {"PYTHONHASHSEED": "4711", "INARCH_PATHS": paths, "LC_ALL": "C.UTF-8"}
        done = subprocess.run([sys.executable, "-c", _OTHER], input=told, capture_output=True, text=True, check=False,
                              env={**os.environ, **changes})  # fmt: skip
        found = [line for line in done.stdout.splitlines() if line.startswith("digest ")]
        if done.returncode or not found:
            raise Seen(f"another process cannot build it: {done.stderr.strip()[-500:]}")
        return found[-1].removeprefix("digest ")


def digest(dataset: Dataset) -> str:
    """Return a hash of all that a data set is: splits, columns, rows in their order, classes and what they mean."""
    facts = [dataset.input, dataset.target, dataset.group, sorted(dataset.files),
             [[name, list(raws)] for name, raws in (dataset.classes or {}).items()]]  # fmt: skip
    found = hashlib.sha256(repr(facts).encode())
    for split, rows in dataset.splits.items():
        found.update(f"{split} {len(rows)} {sorted(rows.columns)}".encode())
        for row in read(rows):
            found.update(repr(row).encode())
    return found.hexdigest()


def read(rows: Rows | Stream, order: Sequence[int] | None = None) -> Iterator[Any]:
    """Yield the first rows of a split, or those at `order`."""
    if isinstance(rows, Stream):
        yield from islice(rows.read(None, 0), MOST)
    else:
        for index in range(min(MOST, len(rows))) if order is None else order:
            yield rows[index]


def contents(dataset: Dataset, rows: Rows) -> list[str]:
    """Return a hash of each row's input: of its values, and of the files that it names."""
    found = []
    for row in read(rows):
        digest = hashlib.sha256()
        for name in dataset.inputs:
            value = row[name]
            digest.update(Path(value).read_bytes() if name in dataset.files else repr(value).encode())
        found.append(digest.hexdigest())
    return found


def in_workers(rows: Rows, count: int = 2) -> list[list[str]]:
    """Return what the rows are, as text, in several worker processes that read at the same time."""
    context = multiprocessing.get_context("fork")  # as the core starts loaders
    results = [context.Pipe(duplex=False) for _ in range(count)]
    workers = [context.Process(target=_tell, args=(rows, end)) for _, end in results]
    for worker in workers:
        worker.start()
    found = [begin.recv() if begin.poll(60) else ["nothing, for a minute"] for begin, _ in results]
    for worker in workers:
        worker.kill()
        worker.join()
    return found


def _tell(rows: Rows, end: Any) -> None:
    try:
        end.send([repr(row) for row in read(rows)])
    except Exception as error:
        end.send([f"{type(error).__name__}: {error}"])
