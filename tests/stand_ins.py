"""Stand-ins for the data of shipped recipes: a few rows with the same columns, in files of the same layout."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from inarch.recipe import Recipe

ROWS = {"train": 40}
FEW = 12  # in every other split
HubSets = dict[str, tuple[str, dict[str, Any], Callable[[int], list[Any]]]]


def make(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write stand-ins for a recipe's data; return the overrides that open them."""
    folder.mkdir()
    return SOURCES[recipe.dataset.name](recipe.dataset.options, folder)


def film(row: int) -> str:
    return f"a {('good', 'poor')[row % 2]} film {row}"


def photo(row: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(row).integers(0, 256, (72, 80, 3), dtype=np.uint8))


def recording(row: int, rate: int = 16000) -> bytes:
    """Half a second of a tone that rises with the row, as the bytes of a FLAC file."""
    wave = 0.3 * np.sin(2 * np.pi * (200 + 40 * (row % 10)) * np.arange(rate // 2) / rate)
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="FLAC")
    return file.getvalue()


def hub_sets() -> HubSets:
    """Return the splits and features of data sets of the hub, and the values of a row."""
    return {**_sets_of_texts(), **_sets_of_photos(), **_sets_of_recordings()}


def _sets_of_texts() -> HubSets:
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
    }


def _sets_of_photos() -> HubSets:
    import datasets
    from datasets import ClassLabel

    return {
        "uoft-cs/cifar10": (
            "train test",
            {"img": datasets.Image(), "label": ClassLabel(num_classes=10)},
            lambda row: [photo(row), row % 10],
        ),
    }


def _sets_of_recordings() -> HubSets:
    from datasets import Audio, ClassLabel, Value

    text, number = Value("string"), Value("int32")
    return {
        "google/speech_commands": (
            "train validation test",
            {
                "file": text,
                "audio": Audio(16000),
                "label": ClassLabel(num_classes=36),
                "is_unknown": Value("bool"),
            },
            lambda row: [f"{row}.wav", {"bytes": recording(row), "path": None}, row % 36, False],
        ),
        "ashraq/esc50": (
            "train",
            {"filename": text, "fold": number, "target": number, "category": text, "audio": Audio(44100)},
            lambda row: [
                f"{row}.wav",
                row % 5 + 1,
                row % 3,
                f"sound {row % 3}",
                {"bytes": recording(row, 44100), "path": None},
            ],
        ),
        "openslr/librispeech_asr": (
            "train.100 train.360 validation test",
            {"file": text, "audio": Audio(16000), "text": text, "speaker_id": number},
            lambda row: [f"{row}.flac", {"bytes": recording(row), "path": None}, film(row).upper(), row % 4],
        ),
    }


HIDDEN = ("stanfordnlp/sst2", "nyu-mll/glue")  # their test labels are -1, all of them


def _hub(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    from datasets import Audio, Dataset, Features, Value

    encoded_file = {"bytes": Value("binary"), "path": Value("string")}  # what no library is needed to encode
    splits, features, values = hub_sets()[options["path"]]
    files, start = {}, 0
    for split in splits.split():
        rows = [dict(zip(features, values(start + row), strict=True)) for row in range(ROWS.get(split, FEW))]
        if options["path"] in HIDDEN and split.startswith("test"):
            rows = [{**row, "label": -1} for row in rows]
        start += len(rows)
        files[split] = str(folder / f"{split}.parquet")  # of librispeech train.100 is one
        encoded = {name: encoded_file if isinstance(kind, Audio) else kind for name, kind in features.items()}
        Dataset.from_list(rows, Features(encoded)).cast(Features(features)).to_parquet(files[split])
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
    if options.get("names"):
        return _recordings(options, folder)
    for split in ("train", "validation", "test"):
        for row in range(ROWS.get(split, FEW)):
            path = folder / split / f"kind {row % 2}" / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            photo(row).save(path)
    return {"dataset.path": str(folder)}


def _recordings(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write recordings whose names say what the template of the recipe reads from them."""
    speakers = ["jackson", "theo", "lucas", "george", "nicolas", "yweweler"]
    for row in range(ROWS["train"]):
        speaker = speakers[(row + row // 10) % 6]
        said = {"class": row // 3 % 10, "digit": row % 10, "fold": row % 5 + 1, "speaker": speaker}
        name = re.sub("{(.+?)}", lambda field, said=said, row=row: str(said.get(field[1], row)), options["names"])
        path = folder / ("" if "{speaker}" in options["names"] else f"kind {row % 2}") / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(recording(row))
    return {"dataset.path": str(folder), "dataset.pattern": "*.flac"}


def _synthetic(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {"dataset.path": str(folder / "speech"), "dataset.words": ["one", "two", "three"], "dataset.voices": 16}


SOURCES = {
    "hub": _hub,
    "table": _table,
    "package": _table,
    "conll": _conll,
    "folder": _folder,
    "synthetic_speech": _synthetic,
}
