"""Weights in shards, as accelerate lays them over the processes by FSDP2, and whole where they are looked at.

While a phase trains, a twin of the job's model holds the weights, in DTensors. The model itself is empty meanwhile; it
is filled for an evaluation, so that no process waits for another's forward pass there, and when the phase has ended.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast
from torch import Tensor, nn

from inarch.model import Model

if TYPE_CHECKING:
    from inarch.training.job import Job


class Shards:
    """A model that is empty while its twin holds the weights."""

    def __init__(self, whole: Model) -> None:
        self.whole = whole
        storages = {p.untyped_storage().data_ptr(): p.untyped_storage() for p in whole.parameters()}
        self.sizes = [(storage, storage.nbytes()) for storage in storages.values() if storage.resizable()]

    def empty(self) -> None:
        """Give back the memory of the parameters."""
        for storage, _ in self.sizes:
            storage.resize_(0)

    @torch.no_grad()
    def fill(self, model: nn.Module) -> None:
        """Copy all tensors of a model in shards, on all processes together."""
        level(model)
        for storage, size in self.sizes:
            storage.resize_(size)
        for mine, theirs in zip(_tensors(self.whole), _tensors(model), strict=True):
            mine.copy_(whole(theirs))


def twin(job: "Job") -> "Job":
    """Return the job of a phase: where accelerate shards, with a twin of the model that has the same parameters."""
    if not job.accelerator.is_fsdp2:
        return job
    for parameter in job.model.parameters():
        parameter.data = parameter.data.contiguous()  # FSDP2 takes no other, such as channels-last
    model = copy.deepcopy(job.model, {id(parameter): parameter for parameter in job.model.parameters()})
    names: Any = _blocks(job.model)
    model._no_split_modules = names  # which accelerate wraps if its configuration names no class
    if job.model._compiled_call_impl is not None:
        model.compile()
    return replace(job, model=model, shards=Shards(job.model))


def prepare(job: "Job", optimizer: Any) -> tuple[Any, Any]:
    """Return model and optimizer as accelerate prepared them; the optimizer has no state yet."""
    if job.shards is not None and isinstance(optimizer, torch.optim.SGD):
        for group in optimizer.param_groups:
            group["fused"] = False  # torch has no fused SGD for DTensors
    forward, prepared = job.accelerator.prepare(job.model, optimizer)
    if job.shards is not None:
        still = [path for path, module in job.model.named_modules() if module in job.model.frozen]
        job.shards.whole.frozen = [job.shards.whole.get_submodule(path) for path in still]
        job.shards.empty()
    return forward, prepared


@contextmanager
def seen(job: "Job", model: Model) -> Iterator[Model]:
    """Give a model, or an average of it, with whole weights."""
    if job.shards is None:
        yield model
        return
    job.shards.fill(model)
    try:
        yield job.shards.whole
    finally:
        job.shards.empty()


def end(job: "Job") -> None:
    """Put the weights back into the job's model."""
    if job.shards is not None:
        job.shards.fill(job.model)


def copied(job: "Job") -> Model:
    """Return a copy of the job's model, in shards of its own."""
    if job.shards is None:
        return copy.deepcopy(job.model)
    pairs = zip(job.shards.whole.parameters(), job.model.parameters(), strict=True)
    return copy.deepcopy(job.shards.whole, {id(old): nn.Parameter(shard.detach().clone()) for old, shard in pairs})


class Gathered(Mapping[str, Any]):
    """Tensors that are whole when they are asked for, by all processes in the same order."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self.tensors = tensors

    def __getitem__(self, name: str) -> Any:
        return whole(self.tensors[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def whole(tensor: Any) -> Any:
    """Return a tensor in one piece, on every process."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def local(tensor: Tensor) -> Tensor:
    """Return this process' part of a tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def cut(tensor: Tensor, like: Any) -> Tensor:
    """Return a whole tensor in shards as another one is; no process asks another."""
    if not hasattr(like, "placements"):
        return tensor
    from torch.distributed.tensor import distribute_tensor  # seconds to import, and only shards need it

    mesh = like.device_mesh
    return distribute_tensor(tensor.to(like.device), mesh, like.placements, src_data_rank=None).clone()


def level(model: nn.Module) -> None:
    """Make the buffers, which are not in shards, those of the main process: batch norms follow what each one saw."""
    for buffer in model.buffers():
        broadcast(buffer)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _blocks(model: Model) -> list[str]:
    """Return the classes of modules that hold a layer each, and are nowhere else: those of a transformer's blocks."""
    layers = {frozenset(layer) for layer in model.backbone.layers()}
    found: dict[frozenset[str], nn.Module] = {}
    for path, module in model.backbone.named_modules():
        held = frozenset(f"{path}.{name}" for name, _ in module.named_parameters())
        if path and held in layers and type(module).forward is not nn.Module.forward:
            found.setdefault(held, module)  # the outermost that holds no more
    kinds, everywhere = (Counter(map(type, modules)) for modules in (found.values(), model.modules()))
    return [kind.__name__ for kind, count in kinds.items() if count == everywhere[kind] > 1]
