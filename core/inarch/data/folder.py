"""A folder with a sub-folder per class, or with train, valid and test folders that hold such sub-folders."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from inarch.addresses import locate
from inarch.data.classes import Classes, normalise
from inarch.errors import DataError, RecipeError, listing, unknown
from inarch.interfaces.dataset import Dataset, Rows
from inarch.schema import Address

SPLIT_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}


def folder(*, path: Annotated[str, Address()], pattern: str = "*", classes: Classes | None = None) -> Dataset:
    """Read files from a folder with a sub-folder per class; or train, valid and test folders of these.

    path: the folder, or package:DIST/FOLDER inside an installed package.
    pattern: which files to take, for example `"*.jpg"`, with the quotes. Names that start with a dot are never taken.
    classes: the class folders in the order wanted, or new names with the folders that each joins; default: sorted.
    """
    if not pattern:
        raise RecipeError("dataset.pattern: expected a pattern such as *.jpg, found nothing")
    root = locate(path, DataError)
    if not root.is_dir():
        raise DataError(f"{root}: a file; the data set 'folder' wants a folder, 'table' a csv, jsonl or parquet file")
    found = split_folders(root)
    splits = {split: _rows(directory, pattern) for split, directory in found.items()}
    unused = sorted({entry.name for entry in _folders(root)} - {directory.name for directory in found.values()})
    origin = (
        f"{root} (not used: {listing(unused)})" if unused and "train" in found and found["train"] != root else str(root)
    )
    return Dataset(splits, "file", "class", None, normalise(classes), origin, frozenset({"file"}))


def split_files(path: str | Mapping[str, str]) -> dict[str, Path]:
    """Return each split's file, of a path (then it is train's) or of {train: ..., valid: ..., test: ...}."""
    paths = path if isinstance(path, Mapping) else {"train": path}
    for name in paths:
        if name not in SPLIT_NAMES:
            raise RecipeError(f"dataset.path: {unknown('split', name, SPLIT_NAMES)}")
    if "train" not in paths:
        raise RecipeError("dataset.path: 'train' is required")
    return {name: locate(address, DataError) for name, address in paths.items()}


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split that `root` brings; `root` itself as train if it brings none."""
    split_of = {name: split for split, names in SPLIT_NAMES.items() for name in names}
    found: dict[str, Path] = {}
    folders = _folders(root)
    for entry in folders:
        split = split_of.get(entry.name.lower())
        if split and split in found:
            raise DataError(f"{root}: '{found[split].name}' and '{entry.name}' are both the {split} split; keep one")
        if split:
            found[split] = entry
    if "train" in found:
        return found
    if found and len(found) == len(folders):
        raise DataError(f"{root}: there is {listing(entry.name for entry in folders)}, but no folder called train")
    return {"train": root}


def _folders(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _rows(directory: Path, pattern: str) -> Rows:
    classes = [entry.name for entry in _folders(directory)]
    if not classes:
        raise DataError(f"{directory}: no class folders in it; expected one sub-folder per class")
    files, labels = [], []
    for name in classes:
        found = sorted(_files(directory / name, pattern))
        if not found:
            raise DataError(
                f"{directory / name}: the class folder is empty (pattern '{pattern}'); fill it or remove it"
            )
        files += found
        labels += [name] * len(found)
    for file in files:
        if not file.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in file):
            raise DataError(f"{file!r}: the name of the file is not UTF-8; rename it")
    import pyarrow as pa  # here, or `inarch --help` would wait for it

    columns = {"file": pa.array(files), "class": pa.array(labels)}
    return Rows(columns, where=lambda index: files[index])


def _files(directory: Path, pattern: str) -> Iterator[str]:
    for base, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and Path(name).match(pattern):
                yield str(Path(base) / name)
