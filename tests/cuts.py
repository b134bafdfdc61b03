"""Runs that are cut after a step and resumed, beside the same runs left alone."""

import shutil
from pathlib import Path
from typing import Any

import inarch
from inarch.checkpoint import file_hash, step_directory
from inarch.training.progress import Progress


def ending(run: Path) -> tuple[str, str, str]:
    """What a run ended with: its weights, its figures, its predictions."""
    return (
        file_hash(run / "model" / "model.safetensors"),
        (run / "metrics.jsonl").read_text(),
        file_hash(run / "predictions" / "test.jsonl"),
    )


def keep_all(run: Path, recipe: Path, options: dict[str, Any]) -> Path:
    """Train, and keep a copy of every checkpoint."""
    kept = run.parent / "kept"

    class Keep(Progress):
        def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
            for directory in (run / "checkpoints").glob("step-*"):
                if not (kept / directory.name).exists():
                    shutil.copytree(directory, kept / directory.name)

    inarch.train(recipe, options, out=run, progress=Keep())
    for directory in (run / "checkpoints").glob("step-*"):
        shutil.copytree(directory, kept / directory.name, dirs_exist_ok=True)
    return kept


def resumed(recipe: Path, folder: Path, options: dict[str, Any], step: int) -> tuple[Path, Path]:
    """Train a whole run, and one that is cut after a step and resumed from what lay there then; return both."""
    whole, cut = folder / "whole", folder / f"cut {step}"
    checkpoints = folder / "kept" if whole.exists() else keep_all(whole, recipe, options)
    shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("step-*", "model", "predictions", "results.json"))
    for kept in checkpoints.iterdir():
        if kept.name <= step_directory(checkpoints, step).name:
            shutil.copytree(kept, cut / "checkpoints" / kept.name)
    assert step_directory(cut / "checkpoints", step).exists()
    inarch.train(recipe, options, out=cut, resume=True)
    return whole, cut
