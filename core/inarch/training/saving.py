"""Checkpoints of a run: all processes take part, the main one writes."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list, gather_object
from safetensors.torch import load_file
from torch import Tensor

from inarch import checkpoint
from inarch.checkpoint import clean, step_directory, written_atomically
from inarch.errors import RunError
from inarch.training import shards
from inarch.training import state as states
from inarch.training.average import Ema
from inarch.training.engine import saves_shards
from inarch.training.generators import Generators
from inarch.training.job import Job
from inarch.training.shards import NoTensors, WholeModule, WholeOptimizer
from inarch.training.state import RunState


def save(job: Job, state: RunState, optimizer: Any, average: Ema | None, scaler: Any) -> None:
    """Write a checkpoint of the run after its last step, and remove those that are no longer needed."""
    accelerator, root = job.accelerator, job.directory / "checkpoints"
    generators = gather_object([Generators.now(accelerator.device).plain()])
    model, moments, averages = _whole(job, optimizer, average)
    for part in (model, moments, averages):
        if isinstance(part, WholeModule | WholeOptimizer):
            part.gather(accelerator.is_main_process)
    combined = [*(step for _, step in state.kept), *state.ends] if job.keeps else []
    kept = [step for step in (state.best_step, *combined) if step is not None]
    final, needs = step_directory(root, state.step), [step_directory(root, step).name for step in kept]
    with ExitStack() as stack:
        aside = stack.enter_context(written_atomically(final, needs)) if accelerator.is_main_process else None
        if isinstance(model, NoTensors):
            shards.write(broadcast_object_list([aside])[0], job.model, optimizer, average)
        if aside is not None:
            states.save(aside, state, model, moments, averages, scaler, generators)
    if accelerator.is_main_process:
        clean(root, state.step, kept)
    accelerator.wait_for_everyone()


def restore(job: Job, directory: Path, optimizer: Any, average: Ema | None, scaler: Any) -> None:
    """Put weights, optimizer, average and scaler back as `directory` holds them."""
    written = states.processes(directory)
    if written != job.accelerator.num_processes:
        raise RunError(
            f"{directory} was written by {written} process(es) and cannot be resumed exactly by "
            f"{job.accelerator.num_processes}; use --processes {written}"
        )
    model, moments, averages = _whole(job, optimizer, average)
    in_shards = isinstance(model, NoTensors)
    if in_shards != (directory / shards.FOLDER).exists():
        raise RunError(
            f"{directory} was written {'whole' if in_shards else 'in shards'}; resume with accelerate's configuration "
            f"of then (fsdp_state_dict_type: {'FULL' if in_shards else 'SHARDED'}_STATE_DICT)"
        )
    states.restore(directory, model, moments, averages, scaler)
    if in_shards:
        shards.read(directory, job.model, optimizer, average, moments.state_dict()["param_groups"])


def _whole(job: Job, optimizer: Any, average: Ema | None) -> tuple[Any, Any, Any]:
    """Return model, optimizer and average as a checkpoint's files know them, whether or not they are in shards."""
    if job.shards is None:
        return job.model, optimizer, average
    if saves_shards(job.accelerator):
        return NoTensors({}), NoTensors(optimizer.state_dict()), None
    return WholeModule(job.model), WholeOptimizer(optimizer), None if average is None else WholeModule(average)


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
    if (directory / shards.FOLDER).exists():
        return shards.read_whole(directory)
    average = directory / "average.safetensors"
    if average.exists():
        return {name.removeprefix("module."): tensor for name, tensor in load_file(average).items()}
    return load_file(directory / "model.safetensors")
