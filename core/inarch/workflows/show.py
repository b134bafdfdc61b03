"""Show: what a run left behind, read without torch."""

import json
from pathlib import Path
from typing import Any

from inarch.workflows.directory import recipe_of


def show(directory: Path) -> dict[str, Any]:
    """Return the recipe in short, the epochs, the results if there are any, and what to do next."""
    recipe = recipe_of(directory)
    history = directory / "metrics.jsonl"
    epochs = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()] if history.exists() else []
    finished = directory / "results.json"
    results = json.loads(finished.read_text(encoding="utf-8")) if finished.exists() else {}
    hints = [f"Report: {directory / 'report.html'}", f"Bundle: {directory / 'model'}"]
    return {
        "name": recipe.name,
        "backbone": " ".join([recipe.backbone.name, str(recipe.backbone.options.get("model", ""))]).strip(),
        "head": recipe.head.name,
        "strategy": recipe.strategy.name,
        "status": f"finished after {results['steps']} steps in {results['seconds']} s" if results else "not finished",
        "epochs": epochs,
        "split": results.get("split", ""),
        "metrics": results.get("metrics", {}),
        "results": results,
        "hints": hints if results else ["Continue it with --resume."],
    }
