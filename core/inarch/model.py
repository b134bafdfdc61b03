"""Backbone and head as one module, and freezing that is true."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from inarch.errors import PluginError, RecipeError, listing
from inarch.interfaces.backbone import Backbone, Batch
from inarch.interfaces.head import Head
from inarch.promises import check_features
from inarch.weights import fingerprint


def to_device(item: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Move an item's batch and targets to the device."""
    batch = {name: tensor.to(device, non_blocking=True) for name, tensor in item["batch"].items()}
    return {**item, "batch": batch, "targets": item["targets"].to(device, non_blocking=True)}


def each(outputs: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return outputs, a tensor or tensors by name, with every tensor changed."""
    if isinstance(outputs, Tensor):
        return change(outputs)
    return {name: change(tensor) for name, tensor in outputs.items()}


def to_float(outputs: Any) -> Any:
    """Return outputs of half precision in fp32, others as they are."""
    return each(outputs, lambda tensor: tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor)


def collect(parts: Iterable[Any], count: int) -> Any:
    """Return outputs of `count` rows in all, one after the other, each part held until the next one alone.

    Where their second dimensions differ (units), zeros fill them up.

    The memory is taken at once: small outputs that stay, between large activations that go, would keep the process from
    giving memory back, 1 MB for each window of Whisper tiny.en.
    """
    whole, start = None, 0
    for part in parts:
        if whole is None:
            whole = each(part, lambda tensor: tensor.new_zeros(count, *tensor.shape[1:]))
        whole, start = _filled(whole, part, start)
    return whole


def _filled(whole: Any, part: Any, start: int) -> tuple[Any, int]:
    """Write a part into rows from `start` on, which get wider if it is; return the whole and where the part ends."""
    if not isinstance(part, Tensor):
        filled = {name: _filled(whole[name], part[name], start) for name in part}
        return {name: tensor for name, (tensor, _) in filled.items()}, next(iter(filled.values()))[1]
    end = start + len(part)
    if part.ndim == 1:
        whole[start:end] = part
        return whole, end
    wider = max(0, part.shape[1] - whole.shape[1])
    whole = F.pad(whole, (0, 0) * (part.ndim - 2) + (0, wider)) if wider else whole
    whole[start:end, : part.shape[1]] = part
    return whole, end


class Model(nn.Module):
    """Inputs to outputs. Frozen layers stay in evaluation mode whatever `train()` says."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        missing = head.needs - backbone.provides
        if missing:
            raise RecipeError(
                f"the head needs {listing(sorted(missing))}, the backbone provides {listing(sorted(backbone.provides))}"
            )
        self.backbone, self.head = backbone, head
        self.frozen: list[nn.Module] = []

    def forward(self, batch: Batch) -> Any:
        """Return outputs for a batch: a tensor, or tensors by name."""
        return self.head(check_features(self.backbone, self.backbone(**batch), batch))

    def answer(self, batch: Batch, kept: Sequence[Tensor | None], limit: int) -> Any:
        """Return the outputs, in fp32, of the inputs in a batch, first dimension as long as `kept`.

        kept: of each input None, or the stretches (W, 2) that its W windows in the batch answer for. `limit` windows go
        through at a time.
        """
        if all(stretches is None for stretches in kept):
            return to_float(self(batch))
        size = len(next(iter(batch.values())))
        parts = (
            to_float(self({name: tensor[start : start + limit] for name, tensor in batch.items()}))
            for start in range(0, size, limit)
        )
        return self.join(collect(parts, size), kept)

    def join(self, outputs: Any, kept: Sequence[Tensor | None]) -> Any:
        """Return the outputs of inputs from those of their windows, one input's after the other's."""
        joined, start = [], 0
        for stretches in kept:
            end = start + (1 if stretches is None else len(stretches))
            mine = each(outputs, itemgetter(slice(start, end)))
            joined.append(mine if stretches is None else self.head.join(mine, stretches))
            start = end
        return collect(joined, len(joined))

    def predict(self, outputs: Any, raws: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the head's predictions; where one names a place, what lies there in its raw input is added."""
        predictions: list[dict[str, Any]] = self.head.predict(outputs)
        for prediction, raw in zip(predictions, raws, strict=True):
            segments = prediction.get("segments", [prediction] if "start" in prediction else [])
            for segment in segments:
                segment.update(self.backbone.part(raw, segment["start"], segment["end"]))
        return predictions

    def train(self, mode: bool = True) -> "Model":
        """Set training mode; frozen modules must not drift: batch norm and dropout stay in evaluation mode."""
        super().train(mode)
        for module in self.frozen:
            module.train(False)
        return self

    def freeze(
        self, layers: Sequence[int], trains: frozenset[str] | None = None, still_norms: bool = False
    ) -> dict[str, Tensor]:
        """Freeze exactly the given layers of the backbone, and of the others what is not in `trains` (None: nothing).

        What no pretraining made is trained as the head is. Modules without a trained parameter stay in evaluation mode,
        with `still_norms` all batch norms do. Returns frozen parameters, and the buffers of what stays so.
        """
        partition = check_layers(self.backbone)
        frozen = {name for index in layers for name in partition[index]}
        trains = None if trains is None else trains | self.backbone.fresh
        frozen -= self.backbone.fresh
        for name, parameter in self.backbone.named_parameters():
            if trains is not None and name not in trains:
                frozen.add(name)
            parameter.requires_grad_(name not in frozen)
        stateful = trains is not None  # beside adapters, a norm without parameters must not drift either
        found = {path: m for path, m in self.backbone.named_modules()
                 if _is_frozen(path, m, frozen, stateful) or (still_norms and isinstance(m, _BatchNorm))}  # fmt: skip
        self.frozen = list(found.values())
        self.train(self.training)
        prefixes = tuple(f"{path}." if path else "" for path in found)
        trained = {name for name, parameter in self.backbone.named_parameters() if parameter.requires_grad}
        state = self.backbone.state_dict()
        kept = [name for name in state if name in frozen or (name.startswith(prefixes) and name not in trained)]
        return {name: state[name] for name in kept}


def check_layers(backbone: Backbone) -> list[list[str]]:
    """Return `backbone.layers()`, or raise if they are not a partition of its parameters."""
    layers = backbone.layers()
    listed = [name for layer in layers for name in layer]
    own = [name for name, _ in backbone.named_parameters()]
    if sorted(listed) != sorted(own):
        wrong = sorted(set(own) ^ set(listed)) or sorted({name for name in listed if listed.count(name) > 1})
        raise PluginError(
            f"{type(backbone).__name__}.layers() must name every parameter once; wrong: {listing(wrong, 5)}"
        )
    return layers


def hash_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the fingerprint of frozen tensors; None if there are none."""
    return fingerprint(tensors) if tensors else None


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Return the numbers of all and of trainable parameters."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)


def _is_frozen(path: str, module: nn.Module, frozen: set[str], stateful: bool) -> bool:
    prefix = f"{path}." if path else ""
    own = [prefix + name for name, _ in module.named_parameters()]
    return frozen.issuperset(own) if own else stateful and any(True for _ in module.buffers())
