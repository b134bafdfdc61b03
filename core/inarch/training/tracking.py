"""The tracker of a run, through accelerate; a run that is resumed goes on in the run that is tracked already."""

import uuid
from typing import Any

from inarch.data.loaders import seeded
from inarch.training.job import Job
from inarch.training.state import RunState


def start(job: Job, state: RunState) -> None:
    """Start the recipe's tracker, and note in the state what it calls the run; nothing is drawn at random for it.

    What was told between the last checkpoint and a crash is told again, with the same figures. TensorBoard drops the
    first telling; W&B the second; MLflow keeps both.
    """
    name, accelerator = job.recipe.train.tracker, job.accelerator
    if name == "none":
        return
    told = state.history[-1]["step"] if state.history else -1
    options: dict[str, dict[str, Any]] = {
        "tensorboard": {"purge_step": told + 1},
        "wandb": {"id": state.tracker_id or uuid.uuid4().hex[:8], "resume": "allow", "dir": str(job.directory)},
        "mlflow": {"run_id": state.tracker_id},
    }
    project = name if name == "tensorboard" else job.recipe.name
    with seeded(job.recipe.seed):
        accelerator.init_trackers(project, init_kwargs={name: options[name]})
    if name == "wandb":
        state.tracker_id = options[name]["id"]
    elif name == "mlflow" and accelerator.is_main_process:
        state.tracker_id = accelerator.get_tracker(name, unwrap=True).info.run_id
