"""The loop that trains everything: phases, epochs, steps, evaluation, checkpoints. It knows no domain."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object

from inarch import interruption
from inarch.data.loaders import Item, StreamSteps, load
from inarch.data.order import share, training_keys
from inarch.errors import RunError, listing
from inarch.interfaces.dataset import Stream
from inarch.interfaces.strategy import Phase
from inarch.interruption import Interrupted
from inarch.model import hash_of
from inarch.training import saving, sharding, tracking
from inarch.training import state as states
from inarch.training.average import Ema
from inarch.training.job import Job
from inarch.training.optimization import Pull, first_values, make_optimizer, rate_factor, set_rates
from inarch.training.probe import NoOptimizer, fit_on_features, is_fitted, plan
from inarch.training.record import judge, publish, validate
from inarch.training.state import RunState
from inarch.training.stepper import Stepper
from inarch.training.waiting import waiting_for


def fit(job: Job, phases: list[Phase], resume_from: Path | None) -> RunState:
    """Train all phases, from the beginning or from a checkpoint; return the state at the end."""
    state = states.read(resume_from) if resume_from else RunState()
    _refuse_other_phases(state, phases, resume_from)
    state.micro_batch_size = job.micro_batch(state.micro_batch_size)
    tracking.start(job, state)
    first = first_values(job.model, phases)  # before a checkpoint is restored
    for number in range(state.phase, len(phases)):
        _PhaseRun(job, phases, number, state, first, resume_from).run()
        resume_from = None
    return state


def _refuse_other_phases(state: RunState, phases: list[Phase], resumed: Path | None) -> None:
    """Stop where a run began with phases that its strategy does not make now: a plugin has become another one."""
    began, now = [entry["phase"] for entry in state.frozen_hashes], [phase.name for phase in phases]
    if began != now[: len(began)]:
        raise RunError(
            f"{resumed}: the run began with the phases {listing(began)}, and its strategy makes {listing(now)} now: a "
            "plugin has changed. Install the version that environment.json names, or begin a new run"
        )


class _PhaseRun:
    """One phase under way: its optimizer, average and place."""

    def __init__(
        self,
        job: Job,
        phases: list[Phase],
        number: int,
        state: RunState,
        first: Mapping[str, torch.Tensor],
        resume_from: Path | None,
    ) -> None:
        self.state, self.phase = state, phases[number]
        self.last_phase = number == len(phases) - 1
        self.fits = is_fitted(job, self.phase, tell=True)
        self.job = job = job if self.fits else sharding.twin(job)
        model, train = job.model, job.recipe.train
        self.frozen = model.freeze(self.phase.frozen, self.phase.trains, self.phase.still_norms).keys()
        self.optimizer: Any = NoOptimizer() if self.fits else make_optimizer(model, self.phase, train)
        if not self.fits:
            forward, prepared = sharding.prepare(job, self.optimizer)
        pull = Pull(model, self.phase, first) if self.phase.pull else None
        self.average = Ema(sharding.copied(job), train.ema) if train.ema and not self.fits else None
        self.scaler = torch.GradScaler(  # its default is for means; a loss here is a sum
            job.accelerator.device.type, init_scale=2.0**16 / train.batch_size, enabled=job.precision == "fp16"
        )
        if resume_from:
            saving.restore(job, resume_from, self.optimizer, self.average, self.scaler)
        if len(state.frozen_hashes) <= number:
            state.frozen_hashes.append({"phase": self.phase.name, "before": self._hash(), "after": None})
        if not self.fits:
            self.stepper = Stepper(job, self.phase, state, prepared, forward, self.scaler, pull)
        if resume_from:
            states.restore_random(resume_from, job.accelerator.process_index, job.accelerator.device)
        written = state.step > 0 or resume_from is not None  # a phase's end is its successor's beginning
        self.saved = (state.step, state.evaluation_due) if written else None
        self.skipped: list[str] = []  # by this process, since the last checkpoint
        sums = [state.loss_sum, state.loss_count, state.tokens, state.tokens_padded]
        self.running = torch.tensor(sums, dtype=torch.float64)
        self.total_steps = self.phase.epochs * job.steps_per_epoch
        self.planned_epochs, self.planned_steps = plan(job, phases)

    def run(self) -> None:
        """Take every step that is left in the phase, or fit the head; asked to end, write a checkpoint and raise."""
        if self.fits and self.state.epoch < self.phase.epochs:
            self._fit()
        with interruption.deferred():
            try:
                self._take_steps()
            except Interrupted:
                self._checkpoint()
                raise
        self._finish()

    def _take_steps(self) -> None:
        state = self.state
        if state.evaluation_due:
            self._after_step()
        items = iter(() if state.stopped_early else self._items())
        alone = self.job.accelerator.num_processes == 1
        while not state.stopped_early:
            with interruption.deferred(not alone):  # one process waits for no batch that it does not want any more
                item = next(items, None)
            if item is None:
                break
            self._step(item)
            if state.cursor == self.job.steps_per_epoch:
                state.cursor, state.epoch, state.epochs_done = 0, state.epoch + 1, state.epochs_done + 1
            self._after_step()
            asked = interruption.asked() if alone else self.stepper.agreed
            if asked:
                raise Interrupted(asked)

    def _fit(self) -> None:
        """Fit the head to stored features: one step and one epoch, however many the phase would take."""
        with waiting_for("fitting the head"):
            found = fit_on_features(self.job, self.phase, self.state)
        self.state.step, self.state.epochs_done = self.state.step + 1, self.state.epochs_done + 1
        self.state.epoch = self.phase.epochs
        self.running = torch.tensor([found.loss, found.count, 0.0, 0.0], dtype=torch.float64)
        self._record(True, {"fit": found.facts})
        self._checkpoint()
        self.job.progress.step(self.state.step, self.planned_steps, self.state.epochs_done, self.planned_epochs)

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
            return load(steps, None, min(job.workers(training=True), 1), pin)
        lengths = job.train.lengths
        keys = training_keys(len(job.train.rows), size, seed, numbered, state.cursor, processes, process, lengths)
        return load(job.train, list(keys), job.workers(training=True), pin)

    def _step(self, item: Item) -> None:
        job, state = self.job, self.state
        self.skipped += item["skipped"]
        step = state.epoch * job.steps_per_epoch + state.cursor  # in this phase, from 0
        set_rates(self.optimizer, rate_factor(step, self.total_steps, job.recipe.train))
        with waiting_for("training step {}", state.step + 1):
            total = self.stepper.step(item)
        self.running = self.running.to(total.device) + total
        if self.average is not None:
            self.average.update(job.model, step + 1)
        state.step, state.cursor = state.step + 1, state.cursor + 1
        job.progress.step(state.step, self.planned_steps, state.epochs_done + 1, self.planned_epochs)

    def _after_step(self) -> None:
        """Evaluate and write a checkpoint, where they are due."""
        state, train = self.state, self.job.recipe.train
        at_epoch_end, improved = state.cursor == 0, False
        if at_epoch_end or (train.evaluate_every != "epoch" and state.step % train.evaluate_every == 0):
            self.stepper.settle()
            state.evaluation_due = True
            improved = self._record(at_epoch_end)
            state.evaluation_due = False
        due = at_epoch_end if train.checkpoint_every == "epoch" else state.step % train.checkpoint_every == 0
        ended = state.stopped_early or (at_epoch_end and state.epoch == self.phase.epochs)
        if due or improved or ended or any(step == state.step for _, step in state.kept):
            self._checkpoint()

    def _record(self, at_epoch_end: bool, facts: Mapping[str, Any] | None = None) -> bool:
        """Evaluate, add a line to metrics.jsonl, and say whether it is the best so far."""
        job, state, every = self.job, self.state, self.job.recipe.train.evaluate_every
        loss_sum, count, tokens, padded = self.running.tolist()
        if at_epoch_end and not count:
            raise RunError("no target of train counts: all lie in parts of the inputs that are cut off")
        loss = loss_sum / count if count else math.nan
        line: dict[str, Any] = {"step": state.step, "epoch": state.epochs_done + state.cursor / job.steps_per_epoch,
                                "phase": self.phase.name, "train": {"loss": loss}, **(facts or {})}  # fmt: skip
        if job.train.lengths is not None and padded:
            line["train"]["padding"] = 1 - tokens / padded
        if job.valid is not None and (self.fits or every == "epoch" or state.step % every == 0):
            with sharding.seen(job, job.model if self.average is None else self.average.module) as model:
                line["valid"] = validate(job, model, state, self.fits)
        if at_epoch_end:  # not before: an evaluation may be interrupted, and begun again
            self.running = torch.zeros_like(self.running)
        improved = "valid" in line and judge(job, state, line["valid"])
        state.history.append(line)
        if job.accelerator.is_main_process:
            publish(job, state, line, improved)
            if at_epoch_end:
                valid = {f"valid_{name}": value for name, value in line.get("valid", {}).items()}
                job.on_epoch_end(state.epochs_done, {**line["train"], **valid})
        return improved

    def _checkpoint(self) -> None:
        state = self.state
        if (state.step, state.evaluation_due) == self.saved:
            return
        if not self.fits:
            self.stepper.settle()
        state.loss_sum, state.loss_count, state.tokens, state.tokens_padded = self.running.tolist()
        with waiting_for("writing the checkpoint of step {}", state.step):
            state.note_skipped(gather_object(self.skipped))
            self.skipped = []
            saving.save(self.job, state, self.optimizer, self.average, self.scaler)
        self.saved = (state.step, state.evaluation_due)

    def _finish(self) -> None:
        """Check that frozen is frozen, and move on to the next phase."""
        job, state = self.job, self.state
        hashes = state.frozen_hashes[-1]
        hashes["after"] = self._hash()
        if hashes["after"] != hashes["before"]:
            raise RunError(
                f"phase {self.phase.name}: frozen parameters or buffers changed; the backbone must not write to them"
            )
        if not self.last_phase:
            state.next_phase()
        sharding.end(job)
        job.accelerator.free_memory()

    def _hash(self) -> str | None:
        """Return the hash of frozen parameters and buffers."""
        state = self.job.model.backbone.state_dict()
        return hash_of(sharding.Gathered({name: state[name] for name in self.frozen}))
