"""The loop that trains everything: phases, epochs, steps, evaluation, checkpoints. It knows no domain."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from inarch import checkpoint
from inarch.checkpoint import clean, step_directory, written_atomically
from inarch.data.loaders import Examples, Item, StreamSteps, load, worker_count
from inarch.data.order import share, steps_per_epoch, training_keys
from inarch.errors import RunError
from inarch.evaluation import evaluate
from inarch.interfaces.dataset import Stream
from inarch.interfaces.strategy import Phase
from inarch.model import Model, hash_of
from inarch.recipe import Recipe
from inarch.training import state as states
from inarch.training.average import Ema
from inarch.training.optimization import make_optimizer, rate_factor, set_rates
from inarch.training.progress import Progress
from inarch.training.state import RunState
from inarch.training.step import Retry, accumulate, optimize, smaller


@dataclass(frozen=True)
class Job:
    """Everything about a training that does not change while it runs."""

    recipe: Recipe
    directory: Path
    model: Model
    accelerator: Accelerator
    precision: str
    train: Examples
    valid: Examples | None
    metrics: Mapping[str, Any]
    """Name to torchmetrics metric."""
    larger_is_better: Mapping[str, bool]
    progress: Progress
    on_epoch_end: Callable[[int, Mapping[str, float]], None]
    """The lifecycle hook."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over train."""
        return steps_per_epoch(len(self.train.rows), self.recipe.train.batch_size)

    @property
    def workers(self) -> int:
        """Processes that load data."""
        return worker_count(self.recipe.train.workers, self.accelerator.device.type != "cpu")


def fit(job: Job, phases: list[Phase], resume_from: Path | None) -> RunState:
    """Train all phases, from the beginning or from a checkpoint; return the state at the end."""
    state = states.read(resume_from) if resume_from else RunState()
    state.micro_batch_size = state.micro_batch_size or _first_micro_batch(job)
    for number in range(state.phase, len(phases)):
        _PhaseRun(job, phases, number, state, resume_from).run()
        resume_from = None
        if state.stopped_early:
            break
    return state


class _PhaseRun:
    """One phase under way: its optimizer, average and place."""

    def __init__(self, job: Job, phases: list[Phase], number: int, state: RunState, resume_from: Path | None) -> None:
        self.job, self.state, self.phase, self.phases = job, state, phases[number], phases
        self.last_phase = number == len(phases) - 1
        model, train = job.model, job.recipe.train
        self.frozen = model.freeze(self.phase.frozen)
        self.optimizer = make_optimizer(model, self.phase, train)
        self.average = Ema(model, train.ema) if train.ema else None
        self.scaler = torch.amp.GradScaler(job.accelerator.device.type, enabled=job.precision == "fp16")
        if resume_from:
            states.restore(resume_from, model, self.optimizer, self.average, self.scaler)
        if len(state.frozen_hashes) <= number:
            state.frozen_hashes.append({"phase": self.phase.name, "before": hash_of(self.frozen), "after": None})
        self.forward, self.prepared = job.accelerator.prepare(model, self.optimizer)
        if resume_from:
            states.restore_random(_random_file(resume_from, job.accelerator), job.accelerator.device)
        self.retry = Retry(model)
        self.running = torch.tensor([state.loss_sum, state.loss_count], dtype=torch.float64)
        self.total_steps = self.phase.epochs * job.steps_per_epoch

    def run(self) -> None:
        state, job = self.state, self.job
        for item in self._items():
            self._step(item)
            at_epoch_end = state.cursor == job.steps_per_epoch
            if at_epoch_end:
                state.cursor, state.epoch, state.epochs_done = 0, state.epoch + 1, state.epochs_done + 1
            self._after_step(at_epoch_end)
            if state.stopped_early:
                break
        self._finish()

    def _items(self) -> Iterator[Item]:
        """Yield this process' part of every step that is left in this phase."""
        job, state = self.job, self.state
        processes, process = job.accelerator.num_processes, job.accelerator.process_index
        epochs = range(state.epoch, self.phase.epochs)
        offset = state.epochs_done - state.epoch  # epochs of earlier phases: no two epochs of a run share their order
        numbered = [offset + epoch for epoch in epochs]
        size, seed = job.recipe.train.batch_size, job.recipe.seed
        pin = job.accelerator.device.type == "cuda"
        if isinstance(job.train.rows, Stream):
            steps = StreamSteps(job.train, numbered, size, state.cursor, lambda step: share(step, processes, process))
            return load(steps, None, min(job.workers, 1), pin)
        keys = training_keys(len(job.train.rows), size, seed, numbered, state.cursor, processes, process)
        return load(job.train, list(keys), job.workers, pin)

    def _step(self, item: Item) -> None:
        job, state = self.job, self.state
        state.skipped += item["skipped"]
        item = self._never_empty(item)
        if not self.forward.training:
            self.forward.train()
        set_rates(self.optimizer, rate_factor(state.epoch * job.steps_per_epoch + state.cursor, self.total_steps, job.recipe.train))
        total = optimize(job.model, self.prepared, self._accumulate(item), job.accelerator, job.recipe.train.clip, self.scaler)
        self.running = self.running.to(total.device) + total
        if self.average is not None:
            self.average.update_parameters(job.model)
        state.step, state.cursor = state.step + 1, state.cursor + 1
        if total.device.type == "cpu":  # on an accelerator, reading a number every step would wait for the device
            self._refuse_non_finite()
        job.progress.step(state.step, sum(p.epochs for p in self.phases) * job.steps_per_epoch,
                          state.epochs_done + 1, sum(p.epochs for p in self.phases))  # fmt: skip

    def _never_empty(self, item: Item) -> Item:
        """A process without examples of its own takes part in the step with one that does not count."""
        if item["rows"]:
            return item
        if isinstance(self.job.train.rows, Stream):
            raise RunError("a process got no readable example of the stream in a step; use fewer processes or a larger batch_size")
        for row in range(len(self.job.train.rows)):
            stand_in = self.job.train[(None, [row], item["size"])]
            if stand_in.get("rows"):
                return {**stand_in, "size": item["size"], "idle": True}
        raise RunError("no example of train can be read")

    def _accumulate(self, item: Item) -> torch.Tensor:
        job, state = self.job, self.state
        automatic = job.recipe.train.micro_batch_size == "auto"
        while True:
            self.retry.remember()
            try:
                return accumulate(self.forward, job.model, item, state.micro_batch_size, job.accelerator, job.precision, self.scaler)
            except torch.OutOfMemoryError:
                state.micro_batch_size = smaller(min(state.micro_batch_size, len(item["rows"])), automatic, job.accelerator.num_processes)
                job.progress.say(f"out of memory: going on with micro-batches of {state.micro_batch_size}; the recipe's meaning is unchanged")
            self.retry.undo(self.optimizer)

    def _after_step(self, at_epoch_end: bool) -> None:
        state, train = self.state, self.job.recipe.train
        improved = False
        if at_epoch_end or (train.evaluate_every != "epoch" and state.step % train.evaluate_every == 0):
            improved = self._record(at_epoch_end)
        due = at_epoch_end if train.checkpoint_every == "epoch" else state.step % train.checkpoint_every == 0
        ended = state.stopped_early or (at_epoch_end and state.epoch == self.phase.epochs)
        if due or improved or ended:
            self._checkpoint()

    def _record(self, at_epoch_end: bool) -> bool:
        """Evaluate, add a line to metrics.jsonl, and say whether it is the best so far."""
        job, state, train = self.job, self.state, self.job.recipe.train
        self._refuse_non_finite()
        loss_sum, count = self.running.tolist()
        line: dict[str, Any] = {"step": state.step, "epoch": state.epochs_done + state.cursor / job.steps_per_epoch,
                                "phase": self.phase.name, "train": {"loss": loss_sum / count}}  # fmt: skip
        if at_epoch_end:
            line["epoch"] = state.epochs_done
            self.running = torch.zeros_like(self.running)
        due = train.evaluate_every == "epoch" if at_epoch_end else True
        due = due or (train.evaluate_every != "epoch" and state.step % train.evaluate_every == 0)
        if job.valid is not None and due:
            line["valid"] = self._validate()
        improved = "valid" in line and self._is_best(line["valid"])
        state.history.append(line)
        if job.accelerator.is_main_process:
            checkpoint.write_atomically(job.directory / "metrics.jsonl", "".join(json.dumps(entry) + "\n" for entry in state.history))
            job.progress.epoch(line, improved)
            job.accelerator.log({f"{split}/{name}": value for split in ("train", "valid") for name, value in line.get(split, {}).items()}, step=state.step)
            if at_epoch_end:
                job.on_epoch_end(state.epochs_done, {**line["train"], **{f"valid_{k}": v for k, v in line.get("valid", {}).items()}})
        return improved

    def _validate(self) -> dict[str, float]:
        job = self.job
        assert job.valid is not None
        model = job.model if self.average is None else self.average.module
        job.progress.evaluating("valid")
        seen = evaluate(model, job.valid, evaluation_batch_size(job.recipe), job.accelerator, job.workers)
        scores = model.head.scores(seen.outputs.to(job.accelerator.device)).cpu()
        values = {"loss": seen.loss}
        for name, metric in job.metrics.items():
            metric.reset()
            metric.update(scores, seen.targets)
            values[name] = float(metric.compute())
            metric.reset()
        return values

    def _is_best(self, values: Mapping[str, float]) -> bool:
        state, train = self.state, self.job.recipe.train
        stopping = train.early_stopping
        if stopping:
            if self._better(stopping.metric, values[stopping.metric], state.patience_best):
                state.patience_best, state.bad_evaluations = values[stopping.metric], 0
            else:
                state.bad_evaluations += 1
            state.stopped_early = state.bad_evaluations >= stopping.patience
        if not self._better(train.best_metric, values[train.best_metric], state.best):
            return False
        state.best, state.best_step = values[train.best_metric], state.step
        return True

    def _better(self, name: str, value: float, best: float | None) -> bool:
        if best is None:
            return True
        return value > best if self.job.larger_is_better.get(name, False) else value < best

    def _refuse_non_finite(self) -> None:
        if not torch.isfinite(self.running).all():
            raise RunError(
                f"the training loss is not finite after step {self.state.step}; lower train.learning_rate, "
                f"or try train.precision=fp32. The checkpoints in {self.job.directory / 'checkpoints'} are from before."
            )

    def _checkpoint(self) -> None:
        job, state = self.job, self.state
        state.loss_sum, state.loss_count = self.running.tolist()
        job.accelerator.wait_for_everyone()
        root = job.directory / "checkpoints"
        shared = root / f".random-{state.step}"
        shared.mkdir(parents=True, exist_ok=True)
        states.save_random(_random_file(shared, job.accelerator), job.accelerator.device)
        job.accelerator.wait_for_everyone()
        if job.accelerator.is_main_process:
            with written_atomically(step_directory(root, state.step)) as aside:
                for path in shared.iterdir():
                    path.rename(aside / path.name)
                states.save(aside, state, job.model, self.optimizer, self.average, self.scaler)
            shared.rmdir()
            clean(root, [state.best_step])
        job.accelerator.wait_for_everyone()

    def _finish(self) -> None:
        """Check that frozen is frozen, and move on to the next phase."""
        job, state = self.job, self.state
        hashes = state.frozen_hashes[-1]
        hashes["after"] = hash_of(self.frozen)
        if hashes["after"] != hashes["before"]:
            raise RunError(f"phase {self.phase.name}: frozen parameters or buffers changed; the backbone must not write to them")
        if not self.last_phase and not state.stopped_early:
            state.phase, state.epoch, state.cursor = state.phase + 1, 0, 0
        job.accelerator.free_memory()
        job.accelerator.unwrap_model(self.forward)


def load_best(job: Job, state: RunState) -> int:
    """Load the weights that go into the bundle: the best on valid, or the last; return their step."""
    root = job.directory / "checkpoints"
    step = state.best_step or state.step
    directory = step_directory(root, step)
    reason = checkpoint.problem(directory)
    if reason:
        raise RunError(f"{directory}: the best checkpoint is damaged: {reason}")
    average = directory / "average.safetensors"
    if average.exists():
        weights = {name.removeprefix("module."): tensor for name, tensor in load_file(average).items() if name != "n_averaged"}
    else:
        weights = load_file(directory / "model.safetensors")
    job.model.load_state_dict(weights)
    return step


def evaluation_batch_size(recipe: Recipe) -> int:
    """Return how many examples are evaluated at once: the same for any number of processes, as outputs depend on it in their last bits."""
    return min(64, recipe.train.batch_size)


def _first_micro_batch(job: Job) -> int:
    wanted = job.recipe.train.micro_batch_size
    largest = -(-job.recipe.train.batch_size // job.accelerator.num_processes)
    return largest if wanted == "auto" else min(wanted, largest)


def _random_file(directory: Path, accelerator: Accelerator) -> Path:
    return directory / f"random-{accelerator.process_index}.json"
