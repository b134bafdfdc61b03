"""Everything that a step depends on, in one typed object, and how it is written and read back."""

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inarch.errors import RunError
from inarch.weights import savable

STATE = "state.json"


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
    """Write the state and all tensors into an empty directory; `generators` has one `random_state` per process."""
    save_file(savable(model.state_dict()), directory / "model.safetensors")
    if average is not None:
        save_file(savable(average.state_dict()), directory / "average.safetensors")
    tensors, rest = _flatten_optimizer(optimizer)
    save_file(tensors, directory / "optimizer.safetensors")
    document = {"state": asdict(state), "optimizer": rest, "scaler": scaler.state_dict(), "random": generators}
    (directory / STATE).write_text(json.dumps(document), encoding="utf-8")


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
    """Load all tensors back into the objects that `save` was given."""
    model.load_state_dict(load_file(directory / "model.safetensors"))
    if average is not None:
        average.load_state_dict(load_file(directory / "average.safetensors"))
    _restore_optimizer(optimizer, load_file(directory / "optimizer.safetensors"), _part(directory, "optimizer"))
    scaler.load_state_dict(_part(directory, "scaler"))


def processes(directory: Path) -> int:
    """Return how many processes wrote a checkpoint."""
    return len(_part(directory, "random"))


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of every random generator of this process, as plain data."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": [name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state().numpy().tobytes().hex(),
    }
    if device.type == "cuda":
        states["device"] = torch.cuda.get_rng_state(device).numpy().tobytes().hex()
    return states


def restore_random(directory: Path, process: int, device: torch.device) -> None:
    """Put every random generator of this process back as a checkpoint has it."""
    set_random(_part(directory, "random")[process], device, str(directory))


def set_random(states: Mapping[str, Any], device: torch.device, origin: str) -> None:
    """Put every random generator of this process back as `random_state` told it; a missing state is an error."""
    for name in ["python", "numpy", "torch", *(["device"] if device.type == "cuda" else [])]:
        if name not in states:
            raise RunError(f"{origin}: the random state of '{name}' is missing, so the run cannot go on exactly")
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(_bytes(states["torch"]))
    if device.type == "cuda":
        torch.cuda.set_rng_state(_bytes(states["device"]), device)


def _part(directory: Path, name: str) -> Any:
    path = directory / STATE
    try:
        return json.loads(path.read_text(encoding="utf-8"))[name]
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None
    except KeyError:
        raise RunError(f"{path}: the part '{name}' is missing") from None


def _bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)


def _flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    document = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, values in document["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                numbers.setdefault(str(index), {})[name] = value
    return tensors, {"numbers": numbers, "groups": document["param_groups"]}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], document: dict[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in document["numbers"].items()}
    for key, tensor in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": document["groups"]})
