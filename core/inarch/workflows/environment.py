"""What a run ran on: enough to repeat and to audit it."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from inarch import plugins
from inarch.discovery import files_hash
from inarch.model import Model, check_layers, count_parameters
from inarch.weights import fingerprint
from inarch.workflows.check import Checked

LIBRARIES = ("torch", "accelerate", "torchmetrics", "datasets", "safetensors", "numpy", "peft", "pyarrow")


def describe(
    checked: Checked, model: Model, accelerator: Accelerator, precision: str, levers: list[str]
) -> dict[str, Any]:
    """Return plain facts about software, plugins, hardware, weights and what was made faster how."""
    total, _ = count_parameters(model)
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "plugins": [
            {
                "name": p.name,
                "distribution": p.distribution,
                "version": p.version,
                "sha256": files_hash(p.distribution),
                "hooks": p.hooks,
                "error": p.error,
                "disabled": p.disabled,
            }
            for p in plugins.loaded().known.values()
        ],
        "device": torch.cuda.get_device_name() if accelerator.device.type == "cuda" else _processor(),
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "precision": precision,
        "levers": levers,
        "seed": checked.recipe.seed,
        "backbone": dict(model.backbone.facts),
        "classes": checked.targets.classes,
        "parameters": total,
        "layers": len(check_layers(model.backbone)),
        "backbone_sha256": fingerprint(model.backbone.state_dict()),
        **describe_source(checked, model),
    }


def describe_source(checked: Checked, model: Model) -> dict[str, Any]:
    """Return `source`, plain facts about the source model, where there is one."""
    return {"source": checked.source.facts(model.backbone.resolved)} if checked.source else {}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
