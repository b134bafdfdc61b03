"""One process of a group: evaluations of many lengths and batch sizes, written as prediction files."""

import json
import sys
from itertools import product
from pathlib import Path

import torch
from accelerate import Accelerator
from inarch_toy.backbone import Vectors
from inarch_toy.spelling import Letters

from inarch import plugins
from inarch.builtin.head_modules import Classifier
from inarch.builtin.heads import tagger
from inarch.builtin.segment_targets import read_segments
from inarch.data.loaders import Examples
from inarch.evaluation import build_metrics, evaluate, predictions, write_predictions
from inarch.interfaces.dataset import Dataset, Rows, Targets
from inarch.model import Model
from inarch.workflows.finish import measure

FORMS, TEXTS, TEXT_BATCHES = ("segments", "tags"), (1, 4, 13), (1, 3, 8)
LENGTHS, BATCH_SIZES = range(1, 20), (1, 2, 3, 5, 8, 9)
TARGETS = Targets("classes", ("a", "b"), {"train": [1, 1]}, {"values": {"a": 0, "b": 1}})


def evaluations(accelerator: Accelerator, folder: Path) -> None:
    """Write predictions/LENGTH-BATCH_SIZE.jsonl and all figures."""
    torch.manual_seed(0)
    model = Model(Vectors("none", 4, 8, 2, 0.0, True, 0.0, False, 0),
                  Classifier(TARGETS, 8, 0.0, "none", None, 0.0, "pooled"))  # fmt: skip
    numbers = torch.randn(max(LENGTHS), 4).tolist()
    rows = {"vector": [" ".join(map(str, row)) for row in numbers], "class": ["ab"[row[0] > 0] for row in numbers]}
    rows["vector"][4] = "1 2"  # cannot be read: skipped and counted
    metrics = build_metrics([(plugins.loaded().components["metrics"]["accuracy"], {})], TARGETS)
    figures = {}
    for length, batch_size in product(LENGTHS, BATCH_SIZES):
        split = Rows({name: column[:length] for name, column in rows.items()})
        examples = Examples(Dataset({"test": split}, "vector", "class"), "test", model.backbone, model.head, 0, True)
        seen = evaluate(model, examples, batch_size, accelerator, workers=0)
        if accelerator.is_main_process:
            write_predictions(folder / f"{length}-{batch_size}.jsonl", predictions(model, seen, examples))
            metrics["accuracy"].reset()
            metrics["accuracy"].update(model.head.scores(seen.outputs), seen.targets)
            measured = float(metrics["accuracy"].compute())  # on one process alone: it must not wait for the others
            figures[f"{length}-{batch_size}"] = [seen.loss, measured, seen.skipped]
    if accelerator.is_main_process:
        (folder / "figures.json").write_text(json.dumps(figures))
    accelerator.wait_for_everyone()


def evaluations_by_length(accelerator: Accelerator, folder: Path) -> None:
    """The same for a head that is measured by its predictions: FORM-LENGTH-BATCH_SIZE/predictions, texts.json."""
    words = [["ab" * (1 + (7 * row + word) % 5) for word in range(1 + (5 * row) % 7)] for row in range(max(TEXTS))]
    tags = [["B-x" if index % 3 == 0 else "O" for index in range(len(row))] for row in words]
    segments = [[{"start": 0, "end": len(row[0]), "label": "x"}] for row in words]
    given = {"segments": ([" ".join(row) for row in words], segments), "tags": (words, tags)}
    figures = {}
    for form, length, batch_size in product(FORMS, TEXTS, TEXT_BATCHES):
        inputs, truths = (list(column[:length]) for column in given[form])
        targets = read_segments(Dataset({"train": Rows({"text": inputs, "found": truths})}, "text", "found"))
        if length > 4:
            inputs[4] = inputs[4][:0]  # cannot be read
        torch.manual_seed(1)
        model = Model(Letters("none", 8, True, 12), tagger(targets, 8))
        dataset = Dataset({"test": Rows({"text": inputs, "found": truths})}, "text", "found")
        examples = Examples(dataset, "test", model.backbone, model.head, 0, True)
        seen = evaluate(model, examples, batch_size, accelerator, workers=0)
        metrics = build_metrics([(plugins.loaded().components["metrics"]["starts"], {})], targets)
        if accelerator.is_main_process:
            name = f"{form}-{length}-{batch_size}"
            (folder / name).mkdir()
            estimates = measure(folder / name, "test", model, seen, examples, metrics)
            figures[name] = [seen.loss, vars(estimates["starts"]), seen.skipped]
    if accelerator.is_main_process:
        (folder / "texts.json").write_text(json.dumps(figures))
    accelerator.wait_for_everyone()


if __name__ == "__main__":
    evaluations(Accelerator(cpu=True), Path(sys.argv[1]))
    evaluations_by_length(Accelerator(cpu=True), Path(sys.argv[1]))
