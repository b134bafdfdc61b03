"""One process of a group: every head of the core, evaluated over many lengths and batch sizes, in hashes."""

import hashlib
import inspect
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from inarch_toy.backbone import Vectors
from inarch_toy.spelling import Letters

from inarch import intervals, plugins
from inarch.data.loaders import Examples
from inarch.evaluation import Evaluated, build_metrics, evaluate
from inarch.interfaces.dataset import Dataset, Rows
from inarch.model import Model
from inarch.plugins import Entry
from inarch.workflows.finish import measure

ROWS, UNREADABLE, WINDOW = 67, (4, 40), 6


class Kind(NamedTuple):
    """A head and the data that it is tried on."""

    head: str
    options: Mapping[str, Any]
    input: str | tuple[str, ...]
    target: str


KINDS = {
    "classifier of 2 classes": Kind("classifier", {}, "text", "two"),
    "classifier of 5 classes": Kind("classifier", {"class_weights": "balanced"}, "vector", "five"),
    "multilabel": Kind("multilabel", {}, "vector", "labels"),
    "regressor": Kind("regressor", {}, "vector", "number"),
    "knn": Kind("knn", {"k": 5}, "text", "five"),
    "embedder of classes": Kind("embedder", {}, "text", "five"),
    "embedder of pairs": Kind("embedder", {}, ("text", "other"), "number"),
    "embedder for verification": Kind("embedder", {"loss": "additive_margin"}, "text", "five"),
    "tagger of segments": Kind("tagger", {}, "text", "segments"),
    "tagger of tags": Kind("tagger", {"class_weights": {"x": 3.0}}, "words", "tags"),
    "span": Kind("span", {}, "text", "answer"),
    "span of SQuAD": Kind("span", {}, "text", "squad"),
    "ctc": Kind("ctc", {}, "text", "spelt"),
    "ctc with a beam": Kind("ctc", {"decoding": "beam", "beam_width": 3}, "text", "spelt"),
}


def columns() -> dict[str, list[Any]]:
    """Texts of 3 to 25 letters, words, vectors, and a target for every head; two rows cannot be read."""
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(ROWS, 4, generator=random)
    texts = ["".join("abcde fgh"[(row + n * n) % 9] for n in range(1 + (7 * row) % 23)) for row in range(ROWS)]
    texts = ["ÄÖ" * 9 if row in UNREADABLE else f"x{text}z" for row, text in enumerate(texts)]
    words = [[f"{'abx'[(row + n) % 3]}{'cd' * (n % 3)}" for n in range(1 + row % 6)] for row in range(ROWS)]
    words = [[] if row in UNREADABLE else found for row, found in enumerate(words)]
    numbers = [" ".join(f"{value:.4f}" for value in row) for row in vectors.tolist()]
    found = [{"start": 0, "end": 1 + len(text) // 3, "label": "xz"[row % 2]} for row, text in enumerate(texts)]
    return {
        "text": texts,
        "other": texts[::-1],
        "words": words,
        "vector": ["1 2" if row in UNREADABLE else number for row, number in enumerate(numbers)],
        "two": ["ab"[row % 2] for row in range(ROWS)],
        "five": ["abcde"[row * row % 5 if row > 4 else row] for row in range(ROWS)],
        "labels": [";".join(name for name in "abc" if (row * 7 + ord(name)) % 3) for row in range(ROWS)],
        "number": (vectors[:, 0] * 3 + 1).tolist(),
        "segments": [[segment] for segment in found],
        "tags": [["B-x" if word[0] == "x" else "O" for word in row] for row in words],
        "answer": found,
        "squad": [{"text": [t[: f["end"]]], "answer_start": [0]} for t, f in zip(texts, found, strict=True)],
        "spelt": [text[::3] for text in texts],
        "group": [f"speaker {row // 4}" for row in range(ROWS)],
    }


def opened(kind: Kind, given: Mapping[str, list[Any]]) -> tuple[Model, Dataset, dict[str, Any]]:
    """A model with the kind's head, its data, and every metric that inarch ships for it."""
    dataset = Dataset({"train": Rows(given)}, kind.input, kind.target, "group")
    entry = plugins.loaded().components["heads"][kind.head]
    read, options = entry.facts["read"], {**_defaults(entry), **kind.options}
    targets = read(dataset, **({"options": options} if "options" in inspect.signature(read).parameters else {}))
    shipped = [(metric, _defaults(metric)) for metric in _shipped("metrics") if targets.kind in metric.facts["kinds"]]
    torch.manual_seed(0)
    if kind.input == "vector":
        backbone: Any = Vectors("none", 4, 8, 2, 0.0, True, 0.0, False, 0)
    else:
        backbone = Letters("none", 8, kind.input == "words", None, window=None if kind.input == "words" else WINDOW)
    model = Model(backbone, plugins.build(entry, options, targets, 8))
    if kind.head == "knn":
        numbers = model.head.encode(given[kind.target])
        model.head.fit(torch.randn(ROWS, 8), numbers)
    return model, dataset, build_metrics([pair for pair in shipped if _fits(*pair, targets)], targets)


def _shipped(what: str) -> list[Entry]:
    loaded = plugins.loaded()
    return [e for e in loaded.components[what].values() if loaded.known[e.plugin].distribution == "inarch"]


def _defaults(entry: Entry) -> dict[str, Any]:
    found = inspect.signature(entry.build).parameters.values()
    return {option.name: option.default for option in found if option.kind is option.KEYWORD_ONLY}


def _fits(metric: Entry, options: Mapping[str, Any], targets: Any) -> bool:
    try:
        if metric.facts["verify"]:
            metric.facts["verify"](targets, options)
    except ValueError:
        return False
    return True


def missing() -> list[str]:
    """What inarch ships that no kind tries: metrics and heads."""
    given = columns()
    tried = {name for kind in KINDS.values() for name in opened(kind, given)[2]} | {k.head for k in KINDS.values()}
    return [entry.name for what in ("heads", "metrics") for entry in _shipped(what) if entry.name not in tried]


def evaluations(folder: Path, lengths: Sequence[int], batch_sizes: Sequence[int], whole: bool) -> None:
    """Write RANK.json: for each evaluation the hash of what this process saw, on the main one also of what it wrote.

    Intervals are made of 4 resamples, for they cost most; with `whole`, of 200 where all examples are evaluated.
    """
    intervals.BUDGET = 0
    accelerator, given, hashes = Accelerator(cpu=True), columns(), {}
    for name, kind in KINDS.items():
        model, dataset, metrics = opened(kind, given)
        for length in lengths:
            cut = replace(dataset, splits={"test": dataset.splits["train"].select(range(length))})
            examples = Examples(cut, "test", model.backbone, model.head, 0, True)
            for batch_size in batch_sizes:
                intervals.FEWEST_RESAMPLES = 200 if whole and (length, batch_size) == (ROWS, batch_sizes[-1]) else 4
                seen = evaluate(model, examples, batch_size, accelerator, workers=0)
                found = {"seen": _hash(_seen(seen, model))}
                if accelerator.is_main_process:
                    found |= _written(folder / "run", model, seen, examples, metrics)
                hashes[f"{name}, {length} examples, batches of {batch_size}"] = found
    (folder / f"{accelerator.process_index}.json").write_text(json.dumps(hashes))
    accelerator.wait_for_everyone()


def _seen(seen: Evaluated, model: Model) -> Iterable[bytes]:
    """What an evaluation returns, in bytes."""
    yield repr((seen.rows, seen.loss, seen.skipped)).encode()
    for found in (seen.compared(model), seen.targets):
        yield found.numpy().tobytes() if isinstance(found, torch.Tensor) else repr(found).encode()


def _written(
    run: Path, model: Model, seen: Evaluated, examples: Examples, metrics: Mapping[str, Any]
) -> dict[str, str]:
    run.mkdir()
    figures = measure(run, "test", model, seen, examples, metrics)
    files = {path.suffix: _hash([path.read_bytes()]) for path in sorted((run / "predictions").iterdir())}
    shutil.rmtree(run)
    return {**files, **{name: repr(estimate) for name, estimate in figures.items()}}


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
