"""The tracker of a run, through accelerate; a run that is resumed goes on in the run that is tracked already."""

import shutil
import uuid
from typing import Any

from inarch.data.loaders import seeded
from inarch.training.job import Job
from inarch.training.record import figures
from inarch.training.state import RunState


def start(job: Job, state: RunState) -> None:
    """Start the recipe's tracker, and note in the state what it calls the run; nothing is drawn at random for it.

    TensorBoard is told everything again, for it orders what was written by the clock; so it shows each evaluation once.
    The others are told twice what came after the last checkpoint, with the same figures.
    """
    name, accelerator = job.recipe.train.tracker, job.accelerator
    if name == "none":
        return
    if name == "tensorboard" and accelerator.is_main_process:
        shutil.rmtree(job.directory / name, ignore_errors=True)
    options: dict[str, dict[str, Any]] = {
        "tensorboard": {},
        "wandb": {"id": state.tracker_id or uuid.uuid4().hex[:8], "resume": "allow", "dir": str(job.directory)},
        "mlflow": {"run_id": state.tracker_id},
    }
    project = name if name == "tensorboard" else job.recipe.name
    with seeded(job.recipe.seed):
        accelerator.init_trackers(project, init_kwargs={name: options[name]})
    for line in state.history if name == "tensorboard" else ():
        accelerator.log(figures(line), step=line["step"])
    if name == "wandb":
        state.tracker_id = options[name]["id"]
    elif name == "mlflow" and accelerator.is_main_process:
        state.tracker_id = accelerator.get_tracker(name, unwrap=True).info.run_id
