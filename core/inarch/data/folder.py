"""A folder with a sub-folder per class, or with train, valid and test folders that hold such sub-folders."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from inarch.addresses import locate
from inarch.data.classes import Classes, normalise
from inarch.errors import DataError
from inarch.interfaces.dataset import Dataset, Rows

SPLIT_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}


def folder(*, path: str, pattern: str = "*", classes: Classes | None = None) -> Dataset:
    """Read files from a folder with a sub-folder per class; or train, valid and test folders of these.

    path: the folder, or package:DIST/FOLDER inside an installed package.
    pattern: which files to take, for example `*.jpg`. Names that start with a dot are never taken.
    classes: the class folders in the order wanted, or new names with the folders that each joins; default: sorted names.
    """
    root = locate(path, DataError)
    if not root.is_dir():
        raise DataError(f"{root}: a file; the data set 'folder' wants a folder, 'table' a csv, jsonl or parquet file")
    splits = {split: _rows(directory, pattern) for split, directory in split_folders(root).items()}
    return Dataset(splits, "file", "class", None, normalise(classes), str(root))


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split that `root` brings; `root` itself as train if it brings none."""
    found = {split: root / name for split, names in SPLIT_NAMES.items() for name in names if (root / name).is_dir()}
    if "train" not in found:
        return {"train": root}
    return found


def _rows(directory: Path, pattern: str) -> Rows:
    classes = sorted(entry.name for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise DataError(f"{directory}: no class folders in it; expected one sub-folder per class")
    files, labels = [], []
    for name in classes:
        found = sorted(_files(directory / name, pattern))
        if not found:
            raise DataError(f"{directory / name}: the class folder is empty (pattern '{pattern}'); fill it or remove it")
        files += found
        labels += [name] * len(found)
    columns = {"file": pa.array(files), "class": pa.array(labels)}
    return Rows(columns, where=lambda index: files[index])


def _files(directory: Path, pattern: str) -> Iterator[str]:
    for base, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and Path(name).match(pattern):
                yield str(Path(base) / name)
