"""Batch norms where a batch is spread over processes or cut into micro-batches: the one thing that then has a say.

Everything else in a step is a sum over examples. A batch norm that is trained normalises by the statistics of the
examples that it sees at once. On accelerators those of all processes are put together (`Backbone.synchronise_norms`);
on a CPU torch cannot, and people are told.
"""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from inarch.data.loaders import Examples
from inarch.data.order import share
from inarch.interfaces.strategy import Phase
from inarch.model import Model
from inarch.recipe import Train
from inarch.training.optimization import micro_batches


def share_norms(
    model: Model, phases: Sequence[Phase], train: Train, accelerator: Accelerator, examples: Examples
) -> list[str]:
    """Synchronise the batch norms that some phase trains, or note with the examples why not; return the levers."""
    norms, processes = moving_norms(model, phases), accelerator.num_processes
    levers = synchronise(model, norms, accelerator.device, processes)
    examples.notes.extend(
        tell_norms(model, norms, train, len(examples.rows), processes, accelerator.device.type != "cpu")
    )
    return levers


def moving_norms(model: Model, phases: Sequence[Phase]) -> list[str]:
    """Return the names of the batch norms that normalise by the batch in some phase; frozen ones do not count."""
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    frozen, found = model.frozen, set()
    norms = {name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}
    for phase in phases:
        model.freeze(phase.frozen, phase.trains, phase.still_norms)
        still = {part for module in model.frozen for part in module.modules()}
        found |= {name for name, module in norms.items() if module not in still}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained[name])
    model.frozen = frozen
    return [name for name in norms if name in found]


def synchronise(model: Model, norms: Sequence[str], device: torch.device, processes: int) -> list[str]:
    """Have batch norms use the statistics of all processes, where there are several and the device can.

    Returns the levers in use. The names in the model's state stay as they are.
    """
    if not norms or processes == 1 or device.type == "cpu":
        return []
    model.backbone.synchronise_norms()
    for name, module in list(model.head.named_modules()):
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            model.head.set_submodule(name, nn.SyncBatchNorm.convert_sync_batchnorm(module))  # type: ignore[no-untyped-call]
    return ["synchronised batch norms"]


def tell_norms(
    model: Model, norms: Sequence[str], train: Train, length: int, processes: int, accelerated: bool
) -> list[str]:
    """Return sentences for people about what trained batch norms make of a batch that is not seen at once.

    length: of train, in examples.
    """
    alone = [name for name in norms if not (accelerated and isinstance(model.get_submodule(name), nn.SyncBatchNorm))]
    if not alone:
        return []
    part, told = max(parts_of(train.batch_size, processes)), []
    largest = part if train.micro_batch_size == "auto" else train.micro_batch_size
    who = f"{len(alone)} batch norm{'s' if len(alone) > 1 else ''} ({alone[0]}, ...)"
    if processes > 1:
        why = "of a kind that cannot be synchronised" if accelerated else "synchronised on GPUs alone"
        told.append(
            f"{who}: each of {processes} processes normalises by its own part of a batch, {part} of "
            f"{train.batch_size} examples, so that the result is not that of one process; they are {why}"
        )
    if largest < part:
        told.append(f"{who}: each micro-batch, {largest} of {part} examples, is normalised by itself")
    if 1 in _seen_at_once(train, length, processes, largest):
        told.append(
            "in some steps a process has one example at once, of which batch norms over features cannot be computed: "
            "with such norms choose another train.batch_size, train.micro_batch_size or number of processes"
        )
    return told


def parts_of(size: int, processes: int) -> list[int]:
    """Return how many of a batch's examples each process has."""
    examples: Any = range(size)
    return [len(share(examples, processes, process)) for process in range(processes)]


def _seen_at_once(train: Train, length: int, processes: int, largest: int) -> set[int]:
    """Return how many examples go through a process together, in steps of whole batches and in the last one."""
    found = set()
    for size in {min(train.batch_size, length), length % train.batch_size} - {0}:
        parts = parts_of(size, processes)
        for part in parts:
            slices = micro_batches(max(1, part), largest, -(-max(parts) // largest))
            found |= {piece.stop - piece.start for piece, _ in slices}
    return found
