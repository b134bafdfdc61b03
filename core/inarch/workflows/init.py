"""Init: look at data and write a recipe that trains as it is. Light: imports no torch."""

from collections import Counter
from pathlib import Path
from typing import Any

from inarch import document, plugins, recipe
from inarch.checkpoint import write_atomically
from inarch.data.table import SUFFIXES, read_columns
from inarch.errors import DataError, PluginError, RunError, unknown
from inarch.workflows.check import check, summary

MOST_CLASSES = 200
INPUT_NAMES = ("file", "path", "filename", "image", "text", "sentence", "audio", "input")
TARGET_NAMES = ("label", "class", "target", "category", "y")


def init(path: Path, domain: str, input_column: str | None, target_column: str | None, out: Path | None) -> Path:
    """Write a recipe for the data at `path` and return where it is; an existing file is never replaced."""
    starter = _starter(domain)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    dataset, head, metrics = _folder(path) if path.is_dir() else _table(path, input_column, target_column)
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
    body = document.dump(parts)
    told = summary(check(recipe.parse(document.parse(body, str(written)))))
    write_atomically(written, _commented(told, written, parts))
    return written


def _starter(domain: str) -> dict[str, Any]:
    known = plugins.loaded()
    able = {e.plugin: e for e in known.components["backbones"].values() if e.facts["starter"]}
    if domain not in able:
        broken = known.known.get(domain)
        if broken and broken.error:
            raise PluginError(f"the plugin '{domain}' could not be loaded: {broken.error}")
        raise PluginError(f"--domain: {unknown('domain', domain, sorted(able))}")
    fragment: dict[str, Any] = able[domain].facts["starter"]()
    return fragment


def _folder(path: Path) -> tuple[dict[str, Any], Any, list[str]]:
    return {"name": "folder", "path": str(path.resolve())}, _classifier(), ["accuracy", "balanced_accuracy", "f1"]


def _table(path: Path, input_column: str | None, target_column: str | None) -> tuple[dict[str, Any], Any, list[str]]:
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: not a table; expected a folder, or a file ending in {', '.join(SUFFIXES)}")
    columns, _ = read_columns(path)
    if len(columns) < 2:
        raise DataError(f"{path}: a table needs at least two columns, found {', '.join(columns) or 'none'}")
    target = _pick(columns, target_column, TARGET_NAMES, list(columns)[-1], path)
    rest = {name: values for name, values in columns.items() if name != target}
    inputs = _pick(rest, input_column, INPUT_NAMES, next(iter(rest)), path)
    dataset = {"name": "table", "path": str(path.resolve()), "input": inputs, "target": target}
    if _is_number(columns[target]):
        return dataset, "regressor", ["mae", "rmse", "r2"]
    return dataset, _classifier(), ["accuracy", "balanced_accuracy", "f1"]


def _pick(columns: dict[str, Any], wanted: str | None, usual: tuple[str, ...], otherwise: str, path: Path) -> str:
    if wanted:
        if wanted not in columns:
            raise DataError(f"{path}: {unknown('column', wanted, columns)}")
        return wanted
    return next((name for name in columns if name.lower() in usual), otherwise)


def _is_number(values: list[Any]) -> bool:
    distinct = Counter(str(value) for value in values)
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return False
    whole = all(number.is_integer() for number in numbers)
    return len(distinct) > min(MOST_CLASSES, max(2, len(values) // 5)) or (not whole and len(distinct) > 10)


def _classifier() -> dict[str, Any]:
    return {"name": "classifier", "class_weights": "balanced"}


COMMENTS = {
    "dataset": "Where the examples are. Splits that the data does not bring are cut from train: see `splits`.",
    "backbone": "The pretrained network. `inarch list backbones` shows every option.",
    "head": "The task. `balanced` weighs rare classes up; `inarch list heads` shows the others.",
    "strategy": "How transfer is done: full, linear_probe, scratch, ...; `inarch list strategies`.",
    "metrics": "Measured on valid each epoch and on test at the end, there with a 95 % interval.",
    "train": "learning_rate is the backbone's; the head's is head_multiplier times that.",
    "seed": "The same seed gives the same training, for any number of loader workers.",
}


def _commented(told: list[str], path: Path, parts: dict[str, Any]) -> str:
    lines = [f"# Train with: inarch train {path}", *(f"# {' '.join(line.split())}" for line in told), ""]
    for line in document.dump(parts).splitlines():
        comment = COMMENTS.get(line.split(":", 1)[0])
        lines += [f"# {comment}", line] if comment else [line]
    return "\n".join(lines) + "\n"
