"""Checkpoints of a run: all processes take part, the main one writes."""

from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from safetensors.torch import load_file
from torch import Tensor, nn

from inarch import checkpoint
from inarch.checkpoint import clean, step_directory, written_atomically
from inarch.errors import RunError
from inarch.training import state as states
from inarch.training.average import Ema
from inarch.training.job import Job
from inarch.training.state import RunState


def save(job: Job, state: RunState, optimizer: Any, average: Ema | None, scaler: Any) -> None:
    """Write a checkpoint of the run after its last step, and remove those that are no longer needed."""
    accelerator, root = job.accelerator, job.directory / "checkpoints"
    generators = gather_object([states.random_state(accelerator.device)])
    if accelerator.is_main_process:
        combined = [*(step for _, step in state.kept), *state.ends] if job.keeps else []
        kept = [step for step in (state.best_step, *combined) if step is not None]
        with written_atomically(
            step_directory(root, state.step), [step_directory(root, n).name for n in kept]
        ) as aside:
            states.save(aside, state, job.model, optimizer, average, scaler, generators)
        clean(root, state.step, kept)
    accelerator.wait_for_everyone()


def restore(job: Job, directory: Path, optimizer: Any, average: nn.Module | None, scaler: Any) -> None:
    """Put weights, optimizer, average and scaler back as `directory` holds them."""
    written = states.processes(directory)
    if written != job.accelerator.num_processes:
        raise RunError(
            f"{directory} was written by {written} process(es) and cannot be resumed exactly by "
            f"{job.accelerator.num_processes}; use --processes {written}"
        )
    states.restore(directory, job.model, optimizer, average, scaler)


def load_best(job: Job, state: RunState) -> int:
    """Load the best weights on valid, or the last; return their step."""
    step = state.step if state.best_step is None else state.best_step
    job.model.load_state_dict(read_weights(job, step))
    return step


def read_weights(job: Job, step: int) -> dict[str, Tensor]:
    """Read the weights of a checkpoint: where the run averages them, their average."""
    directory = step_directory(job.directory / "checkpoints", step)
    reason = checkpoint.problem(directory)
    if reason:
        raise RunError(f"{directory}: a checkpoint that the bundle is made of is damaged: {reason}")
    average = directory / "average.safetensors"
    if average.exists():
        return {name.removeprefix("module."): tensor for name, tensor in load_file(average).items()}
    return load_file(directory / "model.safetensors")
