"""Show: what a run left behind, read without torch."""

import json
from pathlib import Path
from typing import Any

from inarch.errors import RunError
from inarch.workflows.directory import recipe_of


def show(directory: Path) -> dict[str, Any]:
    """Return the recipe in short, the epochs, the results if there are any, and what to do next."""
    recipe = recipe_of(directory)
    history, finished = directory / "metrics.jsonl", directory / "results.json"
    epochs = [_read(history, line) for line in _text(history).splitlines() if line.strip()]
    results = _read(finished, _text(finished) or "{}")
    told = [*results.get("ladder", {}).get("sentences", []), results.get("combined", {}).get("sentence", "")]
    hints = [f"Report: {directory / 'report.html'}", f"Bundle: {directory / 'model'}"]
    return {
        "name": recipe.name,
        "backbone": " ".join([recipe.backbone.name, str(recipe.backbone.options.get("model", ""))]).strip(),
        "head": recipe.head.name,
        "strategy": recipe.strategy.name,
        "status": f"finished after {results['steps']} steps in {results['seconds']} s" if results else "not finished",
        "epochs": epochs,
        "told": [sentence for sentence in told if sentence],
        "split": results.get("split", ""),
        "metrics": results.get("metrics", {}),
        "results": results,
        "hints": hints if results else ["Continue it with --resume."],
    }


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _read(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise RunError(f"{path}: not JSON, perhaps cut off: {text[:40]!r}") from None
