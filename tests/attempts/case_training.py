"""One process of a group: a training in float64, and a log of the examples and the loss of each of its steps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from attempts.case_metrics import KINDS, columns

import inarch
from inarch.training import stepper

SETTINGS: dict[str, dict[str, Any]] = {
    "full, batches of 7, clipped": {"strategy": "full", "train.batch_size": 7, "train.clip": 0.1},
    "lp_ft, batches of 5, one at a time, averaged": {
        "strategy": {"name": "lp_ft", "rate": 0.5}, "train.batch_size": 5, "train.micro_batch_size": 1,
        "train.ema": 0.9,
    },
    "lora, batches of 8, three at a time": {
        "strategy": {"name": "lora", "rank": 2, "dropout": 0.0, "merge": True}, "train.batch_size": 8,
        "train.micro_batch_size": 3,
    },
    "l2_sp, batches of 3, fewer than processes": {"strategy": "l2_sp", "train.batch_size": 3},
    "gradual_unfreezing, one example a step": {
        "strategy": "gradual_unfreezing", "train.batch_size": 1, "train.optimizer": "sgd",
    },
    "bias_only, one example a step": {"strategy": "bias_only", "train.batch_size": 1},
    "linear_probe by steps, batches of 6, one at a time": {
        "strategy": {"name": "linear_probe", "solver": "steps"}, "train.batch_size": 6, "train.micro_batch_size": 1,
    },
}  # fmt: skip
"""Ways to train: changes to the recipe of `write_recipe`."""
FITTED = ("classifier", "multilabel", "regressor", "embedder for verification")
"""Heads that the first phase of lp_ft and gradual_unfreezing fits to stored features, which are never in float64."""
OF_HEADS: dict[str, dict[str, Any]] = {
    "classifier of 5 classes": {"backbone.noise": 0.1, "backbone.mixup": True},
    "tagger of segments": {"head.class_weights": {"x": 3.0}},
}


def write_recipe(kind: str, folder: Path) -> Path:
    """Write a recipe that trains a kind of head on 67 rows, two of which cannot be read."""
    head, options, given, target = KINDS[kind]
    columned = columns()
    lines = [dict(zip(columned, row, strict=True)) for row in zip(*columned.values(), strict=True)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    metric = {"classes": "f1", "number": "mae", "labels": "f1", "segments": "entity_f1", "tags": "entity_f1"}
    metric |= {"answer": "exact_match", "squad": "exact_match", "spelt": "character_error_rate"}
    plain = {
        "dataset": {"name": "table", "path": str(folder / "rows.jsonl"), "target": target,
                    "input": list(given) if isinstance(given, tuple) else given},
        "backbone": "vectors" if given == "vector" else "letters",
        "head": {"name": head, **options},
        "metrics": ["equal_error_rate" if "loss" in options else metric.get(target, "accuracy")],
        "on_error": "skip",
        "error_limit": 0.5,
        "train": {"epochs": 2, "workers": 0, "precision": "fp32", "learning_rate": 0.01},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(json.dumps(plain), encoding="utf-8")
    return folder / "recipe.yaml"


def training(recipe: Path, options: Mapping[str, Any], out: Path) -> None:
    """Train, and write RANK.json beside the run: rows of this process and loss over all, for each step."""
    torch.set_default_dtype(torch.float64)
    steps: list[dict[str, Any]] = []
    accumulate, optimize = stepper.accumulate, stepper.optimize

    def noted(forward: Any, model: Any, item: Any, *rest: Any) -> Any:
        steps.append({"rows": [] if item.get("idle") else item["rows"]})
        return accumulate(forward, model, item, *rest)

    def measured(*given: Any) -> Any:
        found = optimize(*given)
        steps[-1]["loss"] = float(found[0] / found[1])
        return found

    stepper.accumulate, stepper.optimize = noted, measured
    inarch.train(recipe, options, out=out)
    rank = PartialState().process_index
    (out / f"{rank}.json").write_text(json.dumps(steps))


def plain_training(recipe: Path, options: Mapping[str, Any], out: Path) -> None:
    """Train as anybody would."""
    inarch.train(recipe, options, out=out)
