"""What a backbone is: inputs to features.

Shapes: B batch, C channels, D features, T tokens (pieces of words, patches, audio frames), U units (words, frames), H W
height and width.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Example = dict[str, Tensor]
Batch = dict[str, Tensor]


class Features(NamedTuple):
    """A backbone's answer; what it does not provide is None."""

    pooled: Tensor | None = None
    """(B, D)"""
    tokens: Tensor | None = None
    """(B, T, D)"""
    mask: Tensor | None = None
    """(B, T), True where a token is real and not padding."""
    maps: tuple[Tensor, ...] | None = None
    """Tensors (B, C_i, H_i, W_i), finest first."""
    units: Tensor | None = None
    """(B, U), the number of the token that answers for each unit of the input (a word's first piece, a frame); -1:
    none, for the unit was cut off or is padding."""
    places: Tensor | None = None
    """(B, U, 2), where each unit lies in the raw input, [start, end): characters, seconds. (0, 0) is padding."""
    scale: Tensor | None = None
    """(B, C, 2), what the backbone took from each channel of the raw input, and what it then divided it by: a head that
    answers in the input's own units (a forecast) undoes both."""


class Window(NamedTuple):
    """A stretch of a raw input that goes through the backbone by itself; `Backbone.transform` takes it like an input"""

    raw: Any
    start: float
    end: float
    """[start, end), in the unit of `Features.places`: seconds, characters."""


class Backbone(nn.Module, ABC):
    """Inputs to features, with everything that is particular to a domain.

    The constructor makes random weights, drawn from the generators as they are, and resolves every option, without a
    network; `load_weights` fetches the pretrained ones, after the core has checked that head and data fit. A bundle is
    opened by the constructor and the saved state alone, and then gives the same bits. Settings of the process are left
    as they are.
    """

    domain: str
    """"image", "text", "audio", or any other word."""
    num_features: int
    """D."""
    provides: frozenset[str]
    """Which fields of Features `forward` fills."""
    resolved: Mapping[str, Any]
    """The builder's options, every default written out: the same builder called with them makes the same pipeline."""

    facts: Mapping[str, Any] = {}
    """What `environment.json` should record of it: versions of its libraries, where the weights came from."""

    fresh: frozenset[str] = frozenset()
    """Names of parameters that no pretraining made (weights of layers, a pooling): strategies train them as the head's.
    They are in `layers()` like all others."""

    def load_weights(self) -> None:
        """Load the weights that the options name, strictly; missing or unexpected keys are a WeightsError.

        Where the option `weights` names a run, the core loads all of this backbone's state from its bundle instead.
        """

    def source_classifier(self) -> tuple[Tensor, Tensor] | None:
        """Return weight (Z, D) and bias (Z,) of the layer that made the classes of pretraining of `pooled`.

        None: these weights have none.
        """
        return None

    @abstractmethod
    def transform(self, training: bool) -> Callable[[Any], Example]:
        """Return a picklable callable, raw example to a dict of tensors, that runs in loader workers.

        It leaves what it is given as it was; what cannot be read it refuses, with ValueError or OSError and the reason.
        Without `training` it draws nothing.
        With `training` an input that has windows is cut, at random, to the length of one. The callable may draw from
        the global generators of python, numpy and torch, which the core seeds from (seed, epoch, index), and may have a
        method ``mix(example, partner) -> (example, share)`` that blends in another training example; `share`, 0 to 1,
        is how much of the first is left. The core mixes the targets alike.
        """

    def prepare(self, raws: Sequence[Any]) -> Sequence[Example] | None:
        """Return the examples of raw inputs, made at once and held in memory; None: `transform` makes them when needed.

        They equal what ``transform(False)`` makes. One that cannot be read raises ValueError when it is asked for. The
        first call of a training is for train: options that depend on the data are settled by it, in `resolved`. The
        answer may have `notes`, a list of sentences for people, about inputs that were cut for example.
        """
        return None

    def length(self, example: Example) -> int:
        """Return how long an example is (tokens, frames): batches are made of examples of similar length."""
        return 1

    def measure(self, raw: Any) -> int | None:
        """Return the `length` that a raw input's example will have, from its header alone; None: not known beforehand.

        One that cannot be read raises OSError or ValueError.
        """
        return None

    def windows(self, raw: Any) -> Sequence[Window]:
        """Return the windows, in order, that an input too long for one pass is seen through; none: it goes as it is.

        They may overlap. In evaluation and serving each goes through `transform(False)`, backbone and head by itself,
        and `Head.join` makes one answer of theirs. One that cannot be read raises OSError or ValueError.
        """
        return ()

    def part(self, raw: Any, start: float, end: float) -> dict[str, Any]:
        """Return what lies at a place of a raw input, as plain data for people to read."""
        return {}

    def files(self) -> dict[str, bytes]:
        """Return small files by name that a bundle needs beside the weights, a vocabulary for example.

        They are given back to the builder as its option `files`, the path of a folder, which recipes leave out.
        """
        return {}

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Stack examples to a batch; override to pad.

        Every tensor has a row for each example, so that a batch can be cut. An example's features depend on nothing
        else in its batch: neither on its neighbours, nor on how far they make it padded.
        """
        return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}

    @abstractmethod
    def forward(self, **batch: Tensor) -> Features:
        """Return features for a batch, in its order. Whatever can run on the device belongs here, normalisation say.

        In evaluation mode they have the same bits every time, and nothing is drawn. What it needs beside the batch is
        in parameters and buffers, which move with the backbone. Every parameter takes part: processes that train
        together wait for all gradients. Under autocast to half precision features stay finite.
        """

    def layers(self) -> list[list[str]]:
        """Return the names of the parameters of each layer, from input to output; together they are all parameters.

        Freezing, layer-wise rates and gradual unfreezing all read this list. Default: each direct child is a layer.
        """
        names = [name for name, _ in self.named_parameters()]
        children = dict.fromkeys(name.split(".", 1)[0] for name in names)
        return [[name for name in names if name.split(".", 1)[0] == child] for child in children]

    def gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass from now on."""
        raise NotImplementedError

    def synchronise_norms(self) -> None:
        """Have batch norms normalise by the statistics of all processes; the names of the state stay. Default: torch's.

        Called where several processes train on accelerators. A batch norm of a library's own is left to its plugin.
        """
        for name, module in list(self.named_modules()):
            if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
                self.set_submodule(name, nn.SyncBatchNorm.convert_sync_batchnorm(module))  # type: ignore[no-untyped-call]
