"""Stand-ins for the data of shipped recipes: a few rows with the same columns, in files of the same layout."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inarch.recipe import Recipe

ROWS = {"train": 40}
FEW = 12  # in every other split


def make(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write stand-ins for a recipe's data; return the overrides that open them."""
    folder.mkdir()
    return SOURCES[recipe.dataset.name](recipe.dataset.options, folder)


def film(row: int) -> str:
    return f"a {('good', 'poor')[row % 2]} film {row}"


def photo(row: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(row).integers(0, 256, (72, 80, 3), dtype=np.uint8))


def hub_sets() -> dict[str, tuple[str, dict[str, Any], Callable[[int], list[Any]]]]:
    """Return the splits and features of data sets of the hub, and the values of a row."""
    import datasets
    from datasets import ClassLabel, List, Value

    text, number = Value("string"), Value("int32")
    tags = ClassLabel(names=["O", *(f"{place}-{label}" for label in ("PER", "ORG", "LOC", "MISC") for place in "BI")])
    glue = "train validation_matched validation_mismatched test_matched test_mismatched"
    return {
        "stanfordnlp/sst2": (
            "train validation test",
            {"idx": number, "sentence": text, "label": ClassLabel(names=["negative", "positive"])},
            lambda row: [row, film(row), row % 2],
        ),
        "fancyzhx/ag_news": (
            "train test",
            {"text": text, "label": ClassLabel(names=["World", "Sports", "Business", "Sci/Tech"])},
            lambda row: [film(row), row % 4],
        ),
        "lhoestq/conll2003": (
            "train validation test",
            {"id": text, "tokens": List(text), "ner_tags": List(tags)},
            lambda row: [str(row), film(row).split(), [0, row % 4 * 2 + 1, row % 4 * 2 + 2, 0]],
        ),
        "sentence-transformers/stsb": (
            "train validation test",
            {"sentence1": text, "sentence2": text, "score": Value("float64")},
            lambda row: [film(row), film(row + row % 3), row % 6 / 5],
        ),
        "nyu-mll/glue": (
            glue,
            {
                "premise": text,
                "hypothesis": text,
                "label": ClassLabel(names=["entailment", "neutral", "contradiction"]),
                "idx": number,
            },
            lambda row: [film(row), film(row + 1), row % 3, row],
        ),
        "rajpurkar/squad": (
            "train validation",
            {
                "id": text,
                "title": text,
                "context": text,
                "question": text,
                "answers": {"text": List(text), "answer_start": List(number)},
            },
            lambda row: [
                str(row),
                f"film {row // 4}",
                film(row),
                "how is it?",
                {"text": [film(row)[2:6]], "answer_start": [2]},
            ],
        ),
        "uoft-cs/cifar10": (
            "train test",
            {"img": datasets.Image(), "label": ClassLabel(num_classes=10)},
            lambda row: [photo(row), row % 10],
        ),
    }


HIDDEN = ("stanfordnlp/sst2", "nyu-mll/glue")  # their test labels are -1, all of them


def _hub(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    from datasets import Dataset, Features

    splits, features, values = hub_sets()[options["path"]]
    files, start = {}, 0
    for split in splits.split():
        rows = [dict(zip(features, values(start + row), strict=True)) for row in range(ROWS.get(split, FEW))]
        if options["path"] in HIDDEN and split.startswith("test"):
            rows = [{**row, "label": -1} for row in rows]
        start += len(rows)
        files[split] = str(folder / f"{split}.parquet")
        Dataset.from_list(rows, Features(features)).to_parquet(files[split])
    return {"dataset.path": "parquet", "dataset.data_files": files}


COLUMNS: dict[str, Callable[[int], str]] = {  # what a table's columns hold in a row
    "category": lambda row: f"intent {row % 3}",
    "cell_type": lambda row: "mono",
    "confidence": lambda row: f"{row % 11 / 10:.1f}",
    "defect_probability": lambda row: ("0.0", "0.3333333333333333", "0.6666666666666666", "1.0")[row % 4],
    "photo": lambda row: f"{row}.png",
    "sentiment": lambda row: ("negative", "positive")[row % 2],
    "text": lambda row: f"{film(row)}, déjà vu",
}


def _table(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write the tables of a source, also of one in a package, with the columns that the options name."""
    named = options.get("columns")
    columns = named or list(dict.fromkeys([options["input"], options["target"], *options.get("minimum", {})]))
    splits = options["path"] if isinstance(options["path"], Mapping) else ["train"]
    files, start = {}, 0
    for split in splits:
        rows = range(start, start + ROWS.get(split, FEW))
        start = rows.stop
        files[split] = str(folder / f"{split}.csv")
        with Path(files[split]).open("w", encoding=options.get("encoding", "utf-8"), newline="") as file:
            writer = csv.writer(file, delimiter=options.get("delimiter", ","))
            writer.writerows([] if named else [columns])
            writer.writerows([COLUMNS[name](row) for name in columns] for row in rows)
        for row in rows if "photo" in columns else ():
            photo(row).save(folder / f"{row}.png")
    kept = {name: value for name, value in options.items() if name != "distribution"}
    path = files if isinstance(options["path"], Mapping) else files["train"]
    return {"dataset": {**kept, "name": "table", "path": path}}


def _conll(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    files = {}
    for split in options["path"]:
        files[split] = str(folder / f"{split}.conll")
        labels = ("person", "location")
        rows = [f"{film(row)}\tO B-{labels[row % 2]} I-{labels[row % 2]} O" for row in range(ROWS.get(split, FEW))]
        pairs = [zip(*(part.split() for part in row.split("\t")), strict=True) for row in rows]
        text = "\n\n".join("\n".join(f"{word}\t{tag}" for word, tag in sentence) for sentence in pairs)
        Path(files[split]).write_text(text + "\n", encoding="utf-8")
    return {"dataset.path": files}


def _folder(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    for split in ("train", "validation", "test"):
        for row in range(ROWS.get(split, FEW)):
            path = folder / split / f"kind {row % 2}" / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            photo(row).save(path)
    return {"dataset.path": str(folder)}


SOURCES = {"hub": _hub, "table": _table, "package": _table, "conll": _conll, "folder": _folder}
