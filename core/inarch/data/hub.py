"""Anything that `datasets.load_dataset` opens: the hub, a local script-free data set, or files; streamed if wanted."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from random import Random
from typing import Any

from inarch.data.classes import Classes, normalise
from inarch.data.folder import SPLIT_NAMES
from inarch.errors import DataError, RecipeError, listing, unknown
from inarch.interfaces.dataset import Dataset, Rows, Stream
from inarch.turns import turn

SHUFFLE_BUFFER = 1_000


def hub(
    *,
    path: str,
    input: str | list[str],
    target: str,
    config: str | None = None,
    group: str | None = None,
    splits: dict[str, str] | None = None,
    classes: Classes | None = None,
    revision: str | None = None,
    data_files: dict[str, str] | str | None = None,
    streaming: bool = False,
    examples: int | dict[str, int] | None = None,
) -> Dataset:
    """Open a data set with the library `datasets`; needs a network, unless `path` is local or in its cache.

    path: a data set's name on the hub, a folder, or a format (csv, json, parquet, imagefolder) with `data_files`.
    input, target, group, classes: as for `table`; classes default to the data set's own names.
    config: which configuration of the data set.
    splits: which of its splits to use: {train: train, test: test}; default: those called train, valid(ation), test.
    revision: a branch, tag or commit.
    streaming: read it as it comes, without a copy on disk; the order is then a shuffle in a buffer of 1,000 rows.
    examples: rows of train in a stream that does not know its own length; or of each split, {train: 900, test: 100}.
    """
    loaded = _load(path, config, data_files, revision, streaming)
    chosen = _choose(splits, list(loaded), path)
    columns = [*([input] if isinstance(input, str) else input), target, *([group] if group else [])]
    for name in columns:
        present: Any = loaded[chosen["train"]].column_names or next(iter(loaded[chosen["train"]]), {})
        if name not in present:
            raise DataError(f"{path}: {unknown('column', name, present)}")
    lengths = examples if isinstance(examples, dict) else {"train": examples}
    rows = {
        split: _rows(loaded[name], columns, lengths.get(split), f"{path} ({split})") for split, name in chosen.items()
    }
    names = normalise(classes) or _class_names(loaded[chosen["train"]].features, target)
    return Dataset(rows, input if isinstance(input, str) else tuple(input), target, group, names, path)


def _load(path: str, config: str | None, data_files: Any, revision: str | None, streaming: bool) -> Mapping[str, Any]:
    import datasets

    try:
        with nullcontext() if streaming else turn(f"the data set {path}"):
            loaded: Mapping[str, Any] = datasets.load_dataset(
                path, config, data_files=data_files, revision=revision, streaming=streaming
            )
    except Exception as error:
        reason = f"{type(error).__name__}: {listing(str(error).splitlines()[:1])}"
        raise DataError(
            f"the data set '{path}' could not be opened: {reason}. "
            "Without a network, use the data sets 'folder', 'table' or 'package'."
        ) from error
    return loaded


def _choose(splits: dict[str, str] | None, present: list[str], path: str) -> dict[str, str]:
    wanted = splits or {s: name for s, names in SPLIT_NAMES.items() for name in names if name in present}
    for split, name in wanted.items():
        if split not in SPLIT_NAMES:
            raise RecipeError(f"dataset.splits: {unknown('split', split, SPLIT_NAMES)}")
        if name not in present:
            raise DataError(f"{path}: {unknown('split', name, present)}")
    if "train" not in wanted:
        raise DataError(
            f"{path}: no split is called train; choose with 'splits: {{train: ...}}' from {', '.join(present)}"
        )
    return wanted


def _rows(loaded: Any, columns: list[str], examples: int | None, path: str) -> Rows | Stream:
    for name, feature in (loaded.features or {}).items():
        if getattr(feature, "decode", False):  # the backbone's transform decodes: one pipeline for training and serving
            loaded = loaded.cast_column(name, type(feature)(decode=False))
    if hasattr(loaded, "__len__"):
        return Rows({name: loaded[name] for name in columns}, where=f"{path}, row {{}}".format)
    known = loaded.info.splits[str(loaded.split)].num_examples if loaded.info.splits else None
    length = examples or known
    if not length:
        raise RecipeError(f"dataset: the stream {path} does not know its length; give 'examples: {{train: ..., ...}}'")

    def read(seed: int | None, start: int) -> Iterator[dict[str, Any]]:
        rows = iter(loaded.take(length))
        return islice(rows if seed is None else _shuffled(rows, seed), start, None)

    return Stream(length, read, columns)


def _shuffled(rows: Iterator[dict[str, Any]], seed: int) -> Iterator[dict[str, Any]]:
    """Yield a random row of a full buffer for each row that comes.

    The library's own shuffle draws other numbers in a loader process than in the main one.
    """
    random, buffer = Random(seed), list(islice(rows, SHUFFLE_BUFFER))
    for row in rows:
        place = random.randrange(len(buffer))
        yield buffer[place]
        buffer[place] = row
    random.shuffle(buffer)
    yield from buffer


def _class_names(features: Any, target: str) -> Mapping[str, list[str]] | None:
    feature = (features or {}).get(target)
    names = getattr(getattr(feature, "feature", feature), "names", None)  # of a list, those of its items
    return {name: [str(index)] for index, name in enumerate(names)} if names else None
