"""Everything that a step depends on, in one typed object, and how it is written and read back."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inarch.errors import RunError
from inarch.training import optimizer_state
from inarch.training.generators import put_back_plain
from inarch.weights import savable

STATE = "state.json"
MODEL, AVERAGE, OPTIMIZER = "model.safetensors", "average.safetensors", "optimizer.safetensors"


@dataclass
class RunState:
    """Where a run is. Tensors (weights, optimizer, averages) are saved beside it by `save`."""

    phase: int = 0
    """Number of the strategy's phase, from 0."""
    epoch: int = 0
    """Epochs finished in this phase."""
    cursor: int = 0
    """Steps finished in the epoch under way: the place in the sample order."""
    step: int = 0
    """Optimizer steps finished in the run."""
    epochs_done: int = 0
    """Epochs finished in the run, over all phases."""
    loss_sum: float = 0.0
    """Sum of the training losses of the epoch under way."""
    loss_count: float = 0.0
    """What `loss_sum` is divided by for a mean."""
    tokens: float = 0.0
    """Tokens of the epoch under way."""
    tokens_padded: float = 0.0
    """The same with padding."""
    micro_batch_size: int = 0
    """Examples that a device holds at once."""
    best: float | None = None
    """The best value so far of the recipe's `best_metric` on valid."""
    best_step: int | None = None
    """The step after which `best` was seen."""
    kept: list[tuple[float, int]] = field(default_factory=list)
    """The best values of this phase and their steps, best first; at most `Job.keeps`."""
    ends: list[int] = field(default_factory=list)
    """The steps after which the phases before this one ended."""
    patience_best: float | None = None
    """The best value so far, in this phase, of the early-stopping metric."""
    bad_evaluations: int = 0
    """Evaluations in a row without an improvement of it."""
    stopped_early: bool = False
    """Whether early stopping has ended the phase."""
    evaluation_due: bool = False
    """Whether the evaluation that follows the last step was interrupted."""
    left_out: list[int] = field(default_factory=list)
    """Steps that changed no weight, for their loss or gradient was not finite (`train.non_finite: skip`)."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The lines of metrics.jsonl."""
    skipped: list[str] = field(default_factory=list)
    """Examples of train and valid that could not be read, each once, in the order in which they were met."""
    frozen_hashes: list[dict[str, str | None]] = field(default_factory=list)
    """Per phase: the hash of frozen parameters and buffers before and after."""
    tracker_id: str | None = None
    """What the tracker calls the run, on the main process; TensorBoard, which writes beside it, needs no name."""

    def next_phase(self) -> None:
        """Go on to the beginning of the next phase."""
        self.phase, self.epoch, self.cursor = self.phase + 1, 0, 0
        self.loss_sum = self.loss_count = self.tokens = self.tokens_padded = 0.0  # of an epoch that was stopped early
        self.ends, self.kept = [*self.ends, self.step], []
        self.patience_best, self.bad_evaluations, self.stopped_early = None, 0, False

    def note_skipped(self, places: list[str]) -> None:
        """Add examples that could not be read and were not known yet."""
        self.skipped = list(dict.fromkeys([*self.skipped, *places]))


def save(
    directory: Path,
    state: RunState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    scaler: Any,
    generators: list[dict[str, Any]],
) -> None:
    """Write the state and all tensors into an empty directory; `generators` has `Generators.plain` of each process.

    Of the schedule nothing is kept: a rate is a function of the step alone (`optimization.rate_factor`).
    """
    save_file(savable(model.state_dict()), directory / MODEL)
    if average is not None:
        save_file(savable(average.state_dict()), directory / AVERAGE)
    tensors, rest = optimizer_state.flatten(optimizer)
    save_file(tensors, directory / OPTIMIZER)
    document = {"state": asdict(state), "optimizer": rest, "scaler": scaler.state_dict(), "random": generators}
    document = json.loads(json.dumps(document))  # as it will be read
    hashes = {place: _hash(value) for part in document for place, value in _places(part, document[part])}
    (directory / STATE).write_text(json.dumps({**document, "sha256": hashes}), encoding="utf-8")


def read(directory: Path) -> RunState:
    """Read the state; a missing, unknown or wrong field is an error that names it."""
    values = _part(directory, "state")
    names = {f.name for f in fields(RunState)}
    for name in names ^ set(values):
        raise RunError(f"{directory / STATE}: the field '{name}' is {'missing' if name in names else 'unknown'}")
    return RunState(**{**values, "kept": [(value, step) for value, step in values["kept"]]})


def restore(
    directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: nn.Module | None, scaler: Any
) -> None:
    """Load all tensors back into the objects that `save` was given; RunError names what is missing or does not fit."""
    _load(model, directory / MODEL)
    if average is not None:
        _load(average, directory / AVERAGE)
    elif (directory / AVERAGE).exists():
        raise RunError(f"{directory / AVERAGE}: unknown; this phase of the recipe averages no weights")
    origin = str(directory / OPTIMIZER)
    optimizer_state.restore(optimizer, _tensors(directory / OPTIMIZER), _part(directory, "optimizer"), origin)
    stored, own = _part(directory, "scaler"), scaler.state_dict()
    for name in own.keys() ^ stored.keys():
        raise RunError(f"{directory / STATE}: 'scaler.{name}' is {'missing' if name in own else 'unknown'}")
    scaler.load_state_dict(stored)


def processes(directory: Path) -> int:
    """Return how many processes wrote a checkpoint."""
    return len(_part(directory, "random"))


def restore_random(directory: Path, process: int, device: torch.device) -> None:
    """Put every random generator of this process back as a checkpoint has it."""
    put_back_plain(_part(directory, "random")[process], device, str(directory))


def _part(directory: Path, name: str) -> Any:
    """Read a part of the state, and refuse it where something in it is not what was written."""
    path = directory / STATE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None
    for needed in (name, "sha256"):
        if not isinstance(document, dict) or needed not in document:
            raise RunError(f"{path}: the part '{needed}' is missing")
    part, hashes = document[name], document["sha256"]
    for told, value, kind in ((name, part, list if name == "random" else dict), ("sha256", hashes, dict)):
        if not isinstance(value, kind):
            raise RunError(f"{path}: the part '{told}' cannot be read")
    found = dict(_places(name, part))
    for place in dict.fromkeys([*(place for place in hashes if place.split(".")[0] == name), *found]):
        told = f"the field '{place.removeprefix('state.')}'" if name == "state" else f"'{place}'"
        if place not in found:
            raise RunError(f"{path}: {told} is missing")
        if place not in hashes:
            raise RunError(f"{path}: {told} is unknown: it has no hash")
        if hashes[place] != _hash(found[place]):
            raise RunError(f"{path}: {told} is not what was written")
    return part


def _places(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what has a hash of its own: each entry of a part, of the random states each generator."""
    if name == "random" and isinstance(value, list):
        for process, states in enumerate(value):
            yield from _places(f"random.{process}", states)
    elif isinstance(value, dict):
        yield from ((f"{name}.{key}", entry) for key, entry in value.items())


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _load(module: nn.Module, path: Path) -> None:
    """Load tensors into a module; unlike torch's, also a tensor of another type is an error."""
    stored, own = _tensors(path), module.state_dict()
    for name in sorted(own.keys() ^ stored.keys()):
        raise RunError(f"{path}: the tensor '{name}' is {'missing' if name in own else 'unknown'}")
    for name, tensor in own.items():
        there, here = ((kind.dtype, tuple(kind.shape)) for kind in (stored[name], tensor))
        if there != here:
            raise RunError(f"{path}: the tensor '{name}' is {there} instead of {here}")
    module.load_state_dict(stored)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None
