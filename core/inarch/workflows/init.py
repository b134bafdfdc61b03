"""Init: look at data and write a recipe that trains as it is. Light: imports no torch."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inarch import document, plugins, recipe
from inarch.builtin.segments import is_tag
from inarch.checkpoint import write_atomically
from inarch.data.reading import SUFFIXES, names_file, read_columns
from inarch.errors import DataError, PluginError, RunError, unknown
from inarch.workflows.check import Checked, check, summary

MOST_CLASSES = 200
MOST_UNREADABLE = 0.5
"""With a larger share of unreadable inputs the data are more likely of another domain."""
INPUT_NAMES = ("file", "path", "filename", "image", "text", "sentence", "tokens", "words", "audio", "input")
TARGET_NAMES = ("label", "labels", "class", "target", "category", "tags", "y")

Task = tuple[Any, list[str]]
"""A head and its metrics, as a recipe writes them."""


def init(
    path: Path,
    domain: str,
    input_column: str | None,
    target_column: str | None,
    out: Path | None,
    encoding: str = "utf-8",
) -> Path:
    """Write a recipe for the data at `path` and return where it is; an existing file is never replaced.

    The encoding of a table is never guessed: a wrong one can be read without an error, and mangles the text.
    """
    starter = _starter(domain)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if path.is_dir():
        dataset, (head, metrics) = {"name": "folder", "path": str(path.resolve())}, _classifier()
    else:
        dataset, (head, metrics) = _table(path, input_column, target_column, encoding)
    name = "".join(letter if letter.isalnum() else "_" for letter in path.resolve().stem.lower()).strip("_") or "data"
    written = out or Path(f"{name}.yaml")
    if written.exists():
        raise RunError(f"{written} exists; remove it, or choose another --out")
    parts = {
        "name": name,
        "dataset": dataset,
        "backbone": starter["backbone"],
        "head": head,
        "strategy": starter.get("strategy", "full"),
        "metrics": metrics,
        "train": starter.get("train", {}),
        "seed": 0,
    }
    try:
        checked = _checked(parts, written)
    except DataError:
        checked = _checked({**parts, "on_error": "skip", "error_limit": MOST_UNREADABLE}, written)
        parts.update(_tolerance(checked))
    write_atomically(written, _commented(_told(checked), written, parts))
    return written


def _checked(parts: dict[str, Any], written: Path) -> Checked:
    return check(recipe.parse(document.parse(document.dump(parts), str(written))))


def _tolerance(checked: Checked) -> dict[str, Any]:
    """Return settings that skip the inputs which cannot be read now, and one in twenty more."""
    splits = checked.dataset.splits
    worst = max((len(bad) / (len(bad) + len(splits[split])) for split, bad in checked.skipped.items()), default=0.0)
    return {"on_error": "skip", "error_limit": round(math.ceil(worst * 100) / 100 + 0.05, 2)}


def _told(checked: Checked) -> list[str]:
    skipped = [place for places in checked.skipped.values() for place in places]
    if not skipped:
        return summary(checked)
    return [*summary(checked), f"{len(skipped)} cannot be read and are left out (on_error); the first: {skipped[0]}"]


def _starter(domain: str) -> dict[str, Any]:
    known = plugins.loaded()
    able = {e.plugin: e for e in known.components["backbones"].values() if e.facts["starter"]}
    if domain not in able:
        raise PluginError(f"--domain: {unknown('domain', domain, sorted(able))}{known.absent(domain)}")
    fragment: dict[str, Any] = able[domain].facts["starter"]()
    return fragment


def _table(
    path: Path, input_column: str | None, target_column: str | None, encoding: str
) -> tuple[dict[str, Any], Task]:
    if path.suffix.lower() not in SUFFIXES:
        others = "; for other files write a recipe with one of the data sets of `inarch list datasets`"
        raise DataError(f"{path}: not a table; expected a folder, or a file ending in {', '.join(SUFFIXES)}{others}")
    columns, _ = read_columns(path, encoding=encoding)
    for wanted in filter(None, (input_column, target_column)):
        if wanted not in columns:
            raise DataError(f"{path}: {unknown('column', wanted, columns)}")
    if len(columns) < 2:
        found = ", ".join(columns) or "none"
        hint = "; with semicolons between values, write a recipe with dataset.delimiter: ';'" if ";" in found else ""
        raise DataError(f"{path}: a table needs at least two columns, found {found}{hint}")
    files = [name for name, values in columns.items() if values and names_file(values[0], path.parent)]
    inputs = input_column or _guess_input(columns, [name for name in files or columns if name != target_column])
    target = target_column or _guess_target(columns, inputs, files)
    dataset = {"name": "table", "path": str(path.resolve()), "input": inputs, "target": target}
    return dataset | ({} if encoding == "utf-8" else {"encoding": encoding}), _task(columns[inputs], columns[target])


def _guess_input(columns: Mapping[str, list[Any]], able: Sequence[str]) -> str:
    """Return the first column with a usual name, or else that with the longest texts; targets' names come last."""
    rest = [name for name in able if not _is_usual(name, TARGET_NAMES)] or able or list(columns)
    usual = (name for name in rest if _is_usual(name, INPUT_NAMES))
    return next(usual, max(rest, key=lambda name: sum(map(_letters, columns[name]))))


def _guess_target(columns: Mapping[str, list[Any]], inputs: str, files: Sequence[str]) -> str:
    """Return the first column with a usual name, or the last with a tag per unit, or that with the fewest values."""
    able = [name for name in columns if name != inputs and name not in files] or [n for n in columns if n != inputs]
    usual = [name for name in able if _is_usual(name, TARGET_NAMES)]
    parallel = [name for name in able if _are_parallel(columns[inputs], columns[name])]
    if usual or parallel:
        return usual[0] if usual else parallel[-1]
    distinct = {name: len({str(value) for value in columns[name]}) for name in reversed(able)}
    return min(distinct, key=lambda name: (distinct[name] < 2, distinct[name]))  # a column of one value is none


def _is_usual(name: str, usual: Sequence[str]) -> bool:
    """Whether a name is a usual one: `File name` is `filename`."""
    return "".join(filter(str.isalnum, name.lower())) in usual


def _letters(value: Any) -> int:
    """Return how long a text, or a list of words, is."""
    if isinstance(value, list):
        return sum(map(_letters, value))
    return len(value) if isinstance(value, str) else 0


def _are_parallel(inputs: Sequence[Any], targets: Sequence[Any]) -> bool:
    """Whether most rows have lists of the same length in both; the check will name the others."""
    pairs = zip(inputs, targets, strict=True)
    return 2 * sum(isinstance(a, list) and isinstance(b, list) and len(a) == len(b) for a, b in pairs) > len(inputs)


def _task(inputs: Sequence[Any], targets: Sequence[Any]) -> Task:
    """Return the head that fits the targets, and what to measure."""
    items = [item for value in targets if isinstance(value, list) for item in value]
    if _are_parallel(inputs, targets):
        if all(is_tag(str(tag)) for tag in items):
            return {"name": "tagger", "scheme": "bio"}, ["entity_f1", "token_accuracy"]
        return {"name": "tagger", "scheme": "units"}, ["token_accuracy"]
    if items:
        segments = all(isinstance(item, Mapping) for item in items)
        return ("tagger", ["entity_f1"]) if segments else ("multilabel", ["f1", "average_precision"])
    return ("regressor", ["mae", "rmse", "r2"]) if _is_number(targets) else _classifier()


def _is_number(values: Sequence[Any]) -> bool:
    distinct = Counter(str(value) for value in values)
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return False
    whole = all(number.is_integer() for number in numbers)
    return len(distinct) > min(MOST_CLASSES, max(2, len(values) // 5)) or (not whole and len(distinct) > 10)


def _classifier() -> Task:
    return {"name": "classifier", "class_weights": "balanced"}, ["accuracy", "balanced_accuracy", "f1"]


COMMENTS = {
    "dataset": "Where the examples are. Splits that the data does not bring are cut from train: see `splits`.",
    "backbone": "The pretrained network. `inarch list backbones` shows every option.",
    "head": "The task. `balanced` weighs rare classes up; `inarch list heads` shows the others.",
    "strategy": "How transfer is done: full, linear_probe, scratch, ...; `inarch list strategies`.",
    "metrics": "Measured on valid each epoch and on test at the end, there with a 95 % interval.",
    "train": "learning_rate is the backbone's; the head's is head_multiplier times that.",
    "on_error": "Files that cannot be read are skipped, counted and reported; `error` would stop at the first.",
    "error_limit": "The largest share that may be skipped; beyond it the training stops.",
    "seed": "The same seed gives the same training, for any number of loader workers.",
}


def _commented(told: list[str], path: Path, parts: dict[str, Any]) -> str:
    lines = [f"# Train with: inarch train {path}", *(f"# {' '.join(line.split())}" for line in told), ""]
    for line in document.dump(parts).splitlines():
        comment = COMMENTS.get(line.split(":", 1)[0])
        lines += [f"# {comment}", line] if comment else [line]
    return "\n".join(lines) + "\n"
