"""The report of a run: one HTML page that needs nothing else."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from inarch.interfaces.dataset import Targets
from inarch.recipe import Recipe

WIDTH, HEIGHT = 520, 180


def render(
    recipe: Recipe,
    summary: Mapping[str, Any],
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    targets: Targets,
    scores: Any,
    truth: Any,
) -> str:
    """Return the page: metrics with intervals, curves, the confusion of classes, what was left out, the recipe.

    facts: what the backbone records of itself.
    """
    environment = Environment(loader=PackageLoader("inarch", "templates"), autoescape=select_autoescape(default=True))
    return environment.get_template("report.html").render(
        recipe=recipe,
        text=recipe.to_yaml(),
        summary=summary,
        facts=facts,
        curves=curves(history),
        width=WIDTH,
        height=HEIGHT,
        classes=targets.classes,
        confusion=confusion(targets, scores, truth),
    )


def curves(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one chart per measured quantity: its name, range, and the points of train and valid as SVG coordinates."""
    names = dict.fromkeys(name for line in history for split in ("train", "valid") for name in line.get(split, {}))
    last = max((line["epoch"] for line in history), default=1)
    charts = []
    for name in names:
        series = {split: _points(history, split, name) for split in ("train", "valid")}
        values = [value for points in series.values() for _, value in points]
        if not values:
            continue
        low, high = min(values), max(values)
        lines = {
            split: " ".join(_place(x / last, (y - low) / ((high - low) or 1)) for x, y in points)
            for split, points in series.items()
            if points
        }
        charts.append({"name": name, "low": low, "high": high, "last": last, "lines": lines})
    return charts


def confusion(targets: Targets, scores: Any, truth: Any) -> list[list[int]] | None:
    """Return how often each class (row) was predicted as each (column); None beyond 30 classes or for other targets."""
    if targets.kind != "classes" or len(targets.classes) > 30:
        return None
    size = len(targets.classes)
    counts = [[0] * size for _ in range(size)]
    for true, predicted in zip(truth.tolist(), scores.argmax(-1).tolist(), strict=True):
        counts[true][predicted] += 1
    return counts


def _points(history: Sequence[Mapping[str, Any]], split: str, name: str) -> list[tuple[float, float]]:
    """Return (epoch, value) where a quantity was measured; a value that is not a number has no place in a chart."""
    measured = [(line["epoch"], line[split][name]) for line in history if name in line.get(split, {})]
    return [(epoch, value) for epoch, value in measured if math.isfinite(value)]


def _place(x: float, y: float) -> str:
    return f"{8 + x * (WIDTH - 16):.1f},{HEIGHT - 8 - y * (HEIGHT - 16):.1f}"
