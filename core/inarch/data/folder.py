"""A folder with a sub-folder per class, or with train, valid and test folders that hold such sub-folders."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
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


def folder(
    *,
    path: Annotated[str, Address()],
    pattern: str = "*",
    classes: Classes | None = None,
    names: str | None = None,
    target: str = "class",
    group: str | None = None,
) -> Dataset:
    """Read files from a folder with a sub-folder per class; or train, valid and test folders of these.

    path: the folder, or package:DIST/FOLDER inside an installed package.
    pattern: which files to take, for example `"*.jpg"`, with the quotes. Names that start with a dot are never taken.
    classes: the class folders in the order wanted, or new names with the folders that each joins; default: sorted.
    names: what file names say before their ending, for example "{fold}-{source}-{take}": columns for `group`, `target`
    and `splits`. With the target among them folders are no classes.
    target: the column with the truth.
    group: a column (speaker, patient, source) whose values no split may cut through.
    """
    if not pattern:
        raise RecipeError("dataset.pattern: expected a pattern such as *.jpg, found nothing")
    template = FileNames(names) if names is not None else None
    columns = ["class", *(name for name in template.fields if name != "class")] if template else ["class"]
    for option, column in (("target", target), ("group", group)):
        if column is not None and column not in columns:
            raise RecipeError(f"dataset.{option}: {unknown('column', column, columns)} `names` makes columns.")
    root = locate(path, DataError)
    if not root.is_dir():
        raise DataError(f"{root}: a file; the data set 'folder' wants a folder, 'table' a csv, jsonl or parquet file")
    found = split_folders(root)
    splits = {split: _rows(directory, pattern, template, target) for split, directory in found.items()}
    unused = sorted({entry.name for entry in _folders(root)} - {directory.name for directory in found.values()})
    origin = (
        f"{root} (not used: {listing(unused)})" if unused and "train" in found and found["train"] != root else str(root)
    )
    return Dataset(splits, "file", target, group, normalise(classes), origin, frozenset({"file"}))


class FileNames:
    """What file names say, read by a template: "{digit}_{speaker}_{take}" reads 7_theo_12.wav."""

    def __init__(self, template: str) -> None:
        try:
            parts = [(text, name) for text, name, _, _ in Formatter().parse(template)]
        except ValueError as error:
            raise RecipeError(f"dataset.names: {template!r}: {error}") from None
        self.template, self.fields = template, [name for _, name in parts if name is not None]
        wrong = [name for name in self.fields if not name.isidentifier() or name == "file"]
        if wrong or not self.fields or len(set(self.fields)) < len(self.fields):
            told = "names of columns in braces, each once, none of them 'file'"
            raise RecipeError(
                f"dataset.names: expected {told}, for example '{{class}}_{{speaker}}', found {template!r}"
            )
        self.pattern = re.compile(
            "".join(re.escape(text) + (f"(?P<{name}>.+?)" if name else "") for text, name in parts), re.DOTALL
        )

    def read(self, file: str) -> tuple[str, ...]:
        """Return the values of the fields, or raise DataError."""
        found = self.pattern.fullmatch(Path(file).stem)
        if found is None:
            raise DataError(f"{file}: the name is not of the form of dataset.names, {self.template!r}")
        return tuple(found[name] for name in self.fields)


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


def _rows(directory: Path, pattern: str, template: FileNames | None, target: str) -> Rows:
    if template and target in template.fields:
        files, columns = sorted(_files(directory, pattern)), {}
        if not files:
            raise DataError(f"{directory}: no file in it (pattern '{pattern}')")
    else:
        files, labels = _in_classes(directory, pattern)
        columns = {"class": labels}
    for file in files:
        if not file.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in file):
            raise DataError(f"{file!r}: the name of the file is not UTF-8; rename it")
    if template:
        columns |= dict(zip(template.fields, map(list, zip(*map(template.read, files), strict=True)), strict=True))
    import pyarrow as pa  # here, or `inarch --help` would wait for it

    arrays = {name: pa.array(values) for name, values in {"file": files, **columns}.items()}
    return Rows(arrays, where=files.__getitem__)


def _in_classes(directory: Path, pattern: str) -> tuple[list[str], list[str]]:
    """Return the files below the class folders, and the class of each."""
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
    return files, labels


def _files(directory: Path, pattern: str) -> Iterator[str]:
    for base, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and Path(name).match(pattern):
                yield str(Path(base) / name)
