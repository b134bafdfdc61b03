"""Trainings whose weights accelerate holds in shards, and the same ones on one process, in float64."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FITS = ("lp_ft", "gradual_unfreezing")
"""Strategies that fit the head to features in float32."""

CONFIGURATION = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
mixed_precision: 'no'
num_machines: 1
num_processes: 2
main_process_port: 0
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: {kind}
"""


def environment_of(configuration: Path) -> dict[str, str]:
    """What accelerate's launcher tells the processes that it starts for a configuration file."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    parsed = launch_command_parser().parse_args(["--config_file", str(configuration), "none.py"])
    before = dict(os.environ)
    told = prepare_multi_gpu_env(_validate_launch_command(parsed)[0])
    return {name: value for name, value in told.items() if before.get(name) != value}


def train(cases: Mapping[str, tuple[str, Mapping[str, Any]]], folder: str, environment: Mapping[str, str]) -> None:
    """Train every case, a recipe with overrides, into a directory of its name."""
    os.environ.update(environment)
    for name, (recipe, overrides) in cases.items():
        _train(Path(recipe), overrides, Path(folder) / name)


def train_and_resume(recipe: str, overrides: Mapping[str, Any], folder: str, steps: Sequence[int],
                     environment: Mapping[str, str]) -> None:  # fmt: skip
    """Train a whole run, and resume it after each of some steps from what lay there then."""
    from accelerate import PartialState

    from inarch.checkpoint import step_directory
    from inarch.training.progress import Progress

    os.environ.update(environment)
    whole, kept = Path(folder) / "whole", Path(folder) / "kept"

    class Keep(Progress):
        def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
            for directory in (whole / "checkpoints").glob("step-*"):
                if not (kept / directory.name).exists():
                    shutil.copytree(directory, kept / directory.name)

    _train(Path(recipe), overrides, whole, Keep())
    for step in steps:
        cut = Path(folder) / f"cut {step}"
        if PartialState().is_main_process:
            shutil.copytree(whole, cut, ignore=shutil.ignore_patterns("step-*", "model", "predictions", "results.json"))
            for directory in kept.iterdir():
                if directory.name <= step_directory(kept, step).name:
                    shutil.copytree(directory, cut / "checkpoints" / directory.name)
            assert step_directory(cut / "checkpoints", step).exists()
        PartialState().wait_for_everyone()
        _train(Path(recipe), overrides, cut, resume=True)


def _train(recipe: Path, overrides: Mapping[str, Any], out: Path, progress: Any = None, resume: bool = False) -> None:
    """Train as `inarch.train` does, with a model in float64, and stay together for the next run."""
    from inarch import recipe as recipes
    from inarch.training.progress import Progress
    from inarch.workflows import train as workflow
    from inarch.workflows.check import check
    from inarch.workflows.start import build_model

    exact = overrides.get("strategy") not in FITS
    workflow.build_model = (lambda checked: build_model(checked).double()) if exact else build_model
    workflow._train(check(recipes.load(recipe, overrides)), out, resume, progress or Progress())


def figures(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
