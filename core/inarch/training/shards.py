"""Checkpoints of weights in shards: gathered into whole ones, or written by every process, its own shards.

Whole ones are those of any run. Shards are written and read by torch.distributed.checkpoint, as safetensors: its own
format holds a pickle.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inarch.errors import RunError
from inarch.training.sharding import Gathered, cut, level, whole

FOLDER = "shards"


class WholeModule:
    """A module in shards as a checkpoint sees it: what it loads is cut; once gathered, its tensors are whole."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.tensors = module.state_dict()

    def gather(self, keep: bool) -> "WholeModule":
        """Gather, on all processes together; only where they are kept, tensors stay, on the CPU."""
        level(self.module)
        gathered = ((name, tensor.cpu() if keep else None) for name, tensor in Gathered(self.tensors).items())
        self.tensors = {name: tensor for name, tensor in gathered if tensor is not None}
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors, by name."""
        return self.tensors

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Take this process' shards of whole tensors."""
        self.module.load_state_dict({name: cut(tensor, self.tensors[name]) for name, tensor in tensors.items()})


class WholeOptimizer:
    """An optimizer of shards likewise."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.document: dict[str, Any] = optimizer.state_dict()
        self.shards = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.param_groups = [{"params": [torch.empty_strided(p.shape, p.stride(), device="meta")]} for p in self.shards]

    def gather(self, keep: bool) -> "WholeOptimizer":
        """Gather, as a module does."""
        gathered = {}
        for index, values in self.document["state"].items():
            found = {name: whole(value) for name, value in values.items()}
            gathered[index] = {n: v.cpu() if isinstance(v, Tensor) else v for n, v in found.items()} if keep else {}
        self.document = {**self.document, "state": gathered}
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return state and groups."""
        return self.document

    def load_state_dict(self, document: Mapping[str, Any]) -> None:
        """Take this process' shards of a whole optimizer's state; a number for each parameter stays as it is."""
        state = {
            index: {
                name: cut(value, self.shards[index]) if isinstance(value, Tensor) and value.ndim else value
                for name, value in values.items()
            }
            for index, values in document["state"].items()
        }
        self.optimizer.load_state_dict({**document, "state": state})


class NoTensors:
    """What stands in a checkpoint's files for a module or an optimizer whose tensors lie beside them, in shards."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = {name: {} if name == "state" else value for name, value in document.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what is not in shards."""
        return self.document

    def load_state_dict(self, document: Mapping[str, Any]) -> None:
        """Take what is not in shards."""
        self.document = dict(document)


def write(directory: Path, model: nn.Module, optimizer: Any, average: nn.Module | None) -> None:
    """Write the shards, all processes together."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    for module in (model, *([average] if average is not None else [])):
        level(module)
    tensors = _tensors(model, average)
    for index, values in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": value for name, value in values.items()})
    with _told(directory):
        save(tensors, storage_writer=HuggingFaceStorageWriter(str(directory / FOLDER), save_distributed=True))


def read(directory: Path, model: nn.Module, optimizer: Any, average: nn.Module | None, groups: Any) -> None:
    """Put the shards back, all processes together; RunError names a tensor that is missing, unknown or of another form.

    groups: the optimizer's, as the checkpoint has them.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    tensors = _tensors(model, average)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    forms = _forms(directory)
    for name, (shape, kind) in forms.items():
        if name.startswith("optimizer."):
            _, index, entry = name.split(".", 2)
            like = parameters[int(index)]
            value = torch.zeros_like(like, dtype=kind) if shape else torch.zeros((), dtype=kind)
            state.setdefault(int(index), {})[entry] = tensors[name] = value
    entries = {name for values in state.values() for name in values}
    wanted = {*tensors, *(f"optimizer.{index}.{name}" for index in range(len(parameters)) for name in entries)}
    for name in sorted(wanted ^ forms.keys()):
        raise RunError(f"{directory / FOLDER}: the tensor '{name}' is {'missing' if name in wanted else 'unknown'}")
    for name, tensor in tensors.items():
        if forms[name] != (here := (tuple(tensor.shape), tensor.dtype)):
            raise RunError(f"{directory / FOLDER}: the tensor '{name}' is {forms[name]} instead of {here}")
    with _told(directory):
        load(tensors, storage_reader=HuggingFaceStorageReader(str(directory / FOLDER)))
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def read_whole(directory: Path) -> dict[str, Tensor]:
    """Return the whole weights of a checkpoint in shards, or their average, as this process alone reads them."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    forms = _forms(directory)
    prefix = "average.module." if any(name.startswith("average.") for name in forms) else "model."
    tensors = {n: torch.zeros(shape, dtype=kind) for n, (shape, kind) in forms.items() if n.startswith(prefix)}
    with _told(directory), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # it is not, and has no part in this
        load(tensors, storage_reader=HuggingFaceStorageReader(str(directory / FOLDER)), no_dist=True)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _tensors(model: nn.Module, average: nn.Module | None) -> dict[str, Any]:
    modules = {"model": model} | ({} if average is None else {"average": average})
    return {f"{kind}.{name}": tensor for kind, m in modules.items() for name, tensor in m.state_dict().items()}


def _forms(directory: Path) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return shape and type of every tensor that lies in shards."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    with _told(directory):
        known = HuggingFaceStorageReader(str(directory / FOLDER)).read_metadata().state_dict_metadata
    tensors = {name: facts for name, facts in known.items() if isinstance(facts, TensorStorageMetadata)}
    return {name: (tuple(facts.size), facts.properties.dtype) for name, facts in tensors.items()}


@contextmanager
def _told(directory: Path) -> Iterator[None]:
    """Turn what torch says of shards that cannot be written or read into a RunError."""
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        yield
    except CheckpointException as error:
        reasons = "; ".join(f"process {process}: {wrapped[0]}" for process, wrapped in error.failures.items())
        raise RunError(f"{directory / FOLDER}: {reasons}") from error
