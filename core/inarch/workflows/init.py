"""Init: look at data and write a recipe that trains as it is. Light: imports no torch."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

from inarch import document, plugins, recipe
from inarch.checkpoint import write_atomically
from inarch.data.reading import SUFFIXES, read_columns
from inarch.errors import DataError, PluginError, RunError, unknown
from inarch.workflows.check import Checked, check, summary

MOST_CLASSES = 200
MOST_UNREADABLE = 0.5
"""With a larger share of unreadable inputs the data are more likely of another domain."""
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
        broken = known.known.get(domain)
        if broken and broken.error:
            raise PluginError(f"the plugin '{domain}' could not be loaded: {broken.error}")
        raise PluginError(f"--domain: {unknown('domain', domain, sorted(able))}")
    fragment: dict[str, Any] = able[domain].facts["starter"]()
    return fragment


def _folder(path: Path) -> tuple[dict[str, Any], Any, list[str]]:
    return {"name": "folder", "path": str(path.resolve())}, _classifier(), ["accuracy", "balanced_accuracy", "f1"]


def _table(path: Path, input_column: str | None, target_column: str | None) -> tuple[dict[str, Any], Any, list[str]]:
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: not a table; expected a folder, or a file ending in {', '.join(SUFFIXES)}")
    columns, _ = read_columns(path)
    if len(columns) < 2:
        found = ", ".join(columns) or "none"
        hint = "; with semicolons between values, write a recipe with dataset.delimiter: ';'" if ";" in found else ""
        raise DataError(f"{path}: a table needs at least two columns, found {found}{hint}")
    files = [name for name, values in columns.items() if values and _is_file(path.parent, values[0])]
    no_files = [name for name in columns if name not in files and name != input_column] or list(columns)
    target = _pick(columns, target_column, TARGET_NAMES, no_files, no_files[-1], path)
    rest = [name for name in files or columns if name != target] or [name for name in columns if name != target]
    inputs = _pick(columns, input_column, INPUT_NAMES, rest, rest[0], path)
    dataset = {"name": "table", "path": str(path.resolve()), "input": inputs, "target": target}
    if _is_number(columns[target]):
        return dataset, "regressor", ["mae", "rmse", "r2"]
    return dataset, _classifier(), ["accuracy", "balanced_accuracy", "f1"]


def _pick(
    columns: dict[str, Any], wanted: str | None, usual: tuple[str, ...], able: list[str], otherwise: str, path: Path
) -> str:
    """Return the column that is wanted, or of those able the first with a usual name: `File name` is `filename`."""
    if wanted:
        if wanted not in columns:
            raise DataError(f"{path}: {unknown('column', wanted, columns)}")
        return wanted
    return next((name for name in able if "".join(filter(str.isalnum, name.lower())) in usual), otherwise)


def _is_file(root: Path, value: Any) -> bool:
    try:
        return isinstance(value, str) and (root / value).is_file()
    except (OSError, ValueError):  # a text, too long for a name or with a zero byte
        return False


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
