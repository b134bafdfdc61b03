"""Exact evaluation: every example counts once, for any number of processes, in the order of the data.

Processes take whole batches in turn; outputs are gathered with their row numbers and put in order before anything is
computed from them. accelerate's own gathering pads batches and trims by a remainder, so only its collective is used.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from inarch import interruption
from inarch.checkpoint import write_atomically
from inarch.data.loaders import Examples, Item, StreamSteps, load
from inarch.data.order import evaluation_batches
from inarch.errors import DataError
from inarch.interfaces.dataset import Stream
from inarch.made import check_states
from inarch.model import Model, each, to_device
from inarch.plugins import Entry, build


@dataclass(frozen=True)
class Evaluated:
    """A split seen through a model, in the order of its rows."""

    rows: list[int]
    """Numbers of the rows that could be read."""
    outputs: Any
    """The head's outputs, first dimension as long as `rows`, on the CPU; None if it is measured by its predictions."""
    predictions: list[dict[str, Any]] | None
    """Then these, one for each row."""
    targets: Any
    """Encoded targets likewise, or with predictions the raw targets."""
    loss: float
    """Mean loss; NaN if no target counts, for all lie in parts of the inputs that are cut off."""
    skipped: list[str]
    """Places and reasons of rows that could not be read."""

    def compared(self, model: Model) -> Any:
        """Return what metrics compare with `targets`: the head's scores, or the predictions."""
        if self.outputs is None:
            return self.predictions
        device = next(model.parameters()).device
        return model.head.scores(each(self.outputs, lambda tensor: tensor.to(device))).cpu()  # type: ignore[union-attr]


@torch.inference_mode()
def evaluate(model: Model, examples: Examples, batch_size: int, accelerator: Accelerator, workers: int) -> Evaluated:
    """Run a model over a split, in fp32 and evaluation mode. All processes return the same.

    If one of them is asked to end, all of them raise Interrupted after the same batch.
    """
    model.eval()
    gathered: list[dict[str, Any] | None] = []
    for item in _items(examples, batch_size, accelerator, workers):
        mine = _run(model, item, accelerator.device, batch_size) if item is not None else None
        found = [(mine, interruption.asked())]
        found = gather_object(found) if accelerator.num_processes > 1 else found
        gathered += [part for part, _ in found]
        if signals := [number for _, number in found if number]:
            raise interruption.Interrupted(signals[0])
    parts = [part for part in gathered if part is not None]
    skipped = [place for part in parts for place in part["skipped"]]
    full = [part for part in parts if part["rows"]]
    if not full:
        raise DataError("no example of the split could be read: " + "; ".join(skipped[:3]))
    rows = [row for part in full for row in part["rows"]]
    if len(rows) + len(skipped) != len(examples.rows) or len(rows) != len(set(rows)):
        raise RuntimeError(f"evaluation saw {len(rows)} rows instead of {len(examples.rows)}; this is a bug in inarch")
    order = sorted(range(len(rows)), key=rows.__getitem__)
    outputs, predictions, targets = (_joined(full, name, order) for name in ("outputs", "predictions", "targets"))
    total, count = (sum(part[name] for part in full) for name in ("loss", "count"))
    loss = total / count if count else math.nan
    return Evaluated([rows[index] for index in order], outputs, predictions, targets, loss, skipped)


def _joined(parts: Sequence[Mapping[str, Any]], name: str, order: Sequence[int]) -> Any:
    """Put the batches' tensors, tensors by name, or lists together and into the order of the rows."""
    first = parts[0][name]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat([part[name] for part in parts])[torch.tensor(order)]
    if isinstance(first, Mapping):
        return {key: _joined([part[name] for part in parts], key, order) for key in first}
    listed = [value for part in parts for value in part[name]]
    return [listed[index] for index in order]


def build_metrics(entries: Sequence[tuple[Entry, Mapping[str, Any]]], targets: Any) -> dict[str, Any]:
    """Build metrics that leave collectives to `evaluate`: one that also synchronised by itself would count twice."""
    metrics = {}
    for entry, options in entries:
        metrics[entry.name] = build(entry, options, targets)
        check_states(metrics[entry.name])
        for part in metrics[entry.name].modules():
            part.distributed_available_fn = _never
    return metrics


def predictions(model: Model, evaluated: Evaluated, examples: Examples) -> Iterator[dict[str, Any]]:
    """Yield one plain prediction per row, with where the row is, its input (if that is text), and its raw target."""
    dataset, readable = examples.dataset, not isinstance(examples.rows, Stream)
    for start in range(0, len(evaluated.rows), 256):
        rows = evaluated.rows[start : start + 256]
        found = [examples.rows[row] if readable else None for row in rows]
        if evaluated.outputs is None:
            predicted = (evaluated.predictions or [])[start : start + 256]
        else:
            outputs = _some(evaluated.outputs, start, next(model.parameters()).device)
            predicted = model.predict(outputs, [row and dataset.raw(row) for row in found])
        for number, row, prediction in zip(rows, found, predicted, strict=True):
            known = {"row": number, "place": examples.rows.where(number)}
            if row is not None:
                known |= {"input": _text(dataset.raw(row)), "target": row[dataset.target]}
            yield {**known, **prediction}


def _some(outputs: Any, start: int, device: torch.device) -> Any:
    return each(outputs, lambda tensor: tensor[start : start + 256].to(device))


def _text(raw: Any) -> Any:
    """Return a raw input that a line of text can hold: a file's name, a text, or several; else None."""
    if isinstance(raw, Mapping):
        return {name: _text(part) for name, part in raw.items()}
    if isinstance(raw, list):
        return [_text(part) for part in raw]
    return str(raw) if isinstance(raw, Path) else raw if isinstance(raw, str | int | float) else None


def write_predictions(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    """Write predictions as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "".join(json.dumps(line, default=str) + "\n" for line in lines))


def _never() -> bool:
    return False


def _items(examples: Examples, batch_size: int, accelerator: Accelerator, workers: int) -> Iterator[Item | None]:
    """Yield this process' batches, padded with None so that all processes take part in every gathering."""
    processes, process = accelerator.num_processes, accelerator.process_index
    if isinstance(examples.rows, Stream):
        total = -(-len(examples.rows) // batch_size)
        batches = load(StreamSteps(examples, [None], batch_size, 0), None, min(workers, 1))
        mine: Iterator[Item] = (item for number, item in enumerate(batches) if number % processes == process)
    else:
        shares = evaluation_batches(len(examples.rows), batch_size, examples.lengths, examples.counts)
        total, keys = len(shares), [(None, batch, len(batch)) for batch in shares[process::processes]]
        mine = load(examples, keys, workers)
    for _ in range(-(-total // processes)):
        yield next(mine, None)


def _run(model: Model, item: Item, device: torch.device, limit: int) -> dict[str, Any]:
    part = {"rows": item["rows"], "skipped": item["skipped"]}
    if not item["rows"]:
        return part
    moved = to_device(item, device)
    outputs = model.answer(moved["batch"], item["kept"], limit)
    loss, count = model.head.loss(outputs, moved["targets"])
    part |= {"loss": float(loss), "count": float(count), "outputs": None, "predictions": None}
    if "raws" in item:
        return part | {"predictions": model.predict(outputs, item["raws"]), "targets": item["truths"]}
    return part | {"outputs": each(outputs, Tensor.cpu), "targets": item["targets"]}
