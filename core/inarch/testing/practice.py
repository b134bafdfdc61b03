"""A model of the kit's own, which strategies are tried with: a small network over rows of four numbers."""

import atexit
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from inarch.guard import Plugin
from inarch.hookspecs import Register, hookimpl
from inarch.interfaces.backbone import Backbone, Features
from inarch.interfaces.dataset import Targets
from inarch.plugins import loaded
from inarch.weights import load_strictly, read_state

SIZE, WIDTH, DEPTH = 4, 8, 3
NAME, METRIC = "practice_of_the_kit", "right_in_practice"


class Numbers:
    """Text to a vector; in training with noise from torch's global generator."""

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def __call__(self, raw: Any) -> dict[str, Tensor]:
        """Return `vector` (4,)."""
        values = torch.tensor([float(part) for part in str(raw).split()])
        return {"vector": values + self.noise * torch.randn(SIZE) if self.noise else values}


class Practice(Backbone):
    """Blocks of a linear layer, a norm and dropout: the first norm is a batch norm, unless `still`."""

    domain = "practice"
    provides = frozenset({"pooled"})
    num_features = WIDTH

    def __init__(self, weights: str, depth: int, still: bool) -> None:
        super().__init__()
        self.resolved: Mapping[str, Any] = {"weights": weights, "depth": depth, "still": still}
        self.still = still
        self.blocks = nn.ModuleList(_block(index, still) for index in range(depth))

    def load_weights(self) -> None:
        """Load the file that the options name."""
        weights = self.resolved["weights"]
        if weights != "none":
            load_strictly(self, read_state(weights), weights)

    def transform(self, training: bool) -> Numbers:
        """Return what reads a row."""
        return Numbers(0.01 if training and not self.still else 0.0)

    def forward(self, vector: Tensor) -> Features:  # type: ignore[override]
        """Return pooled features (B, 8)."""
        hidden = vector.to(next(self.parameters()).dtype)
        for block in self.blocks:
            hidden = block(hidden)
        return Features(pooled=hidden)

    def layers(self) -> list[list[str]]:
        """Return a layer for each block."""
        names = [name for name, _ in self.named_parameters()]
        return [[name for name in names if name.startswith(f"blocks.{index}.")] for index in range(len(self.blocks))]


def _block(index: int, still: bool) -> nn.Module:
    norms = index == 0 and not still
    linear = nn.Linear(WIDTH if index else SIZE, WIDTH, bias=not norms)  # before a batch norm a bias has no gradient
    norm = nn.BatchNorm1d(WIDTH) if norms else nn.LayerNorm(WIDTH)
    return nn.Sequential(linear, norm, nn.Tanh(), nn.Dropout(0.0 if still else 0.1))


def practice(*, weights: str = "none", depth: int = DEPTH, still: bool = False) -> Practice:
    """A small network that strategies are tried with; `still`: nothing in it depends on a batch, or is drawn."""
    return Practice(weights, depth, still)


class Right(MulticlassAccuracy):
    """The share of right answers; its draws are not measured one by one, for a thousand of them take half a second."""

    def resampled(self, scores: Tensor, targets: Tensor, draws: Sequence[Any]) -> list[float]:
        """Return the share of each draw."""
        right = (scores.argmax(-1) == targets).double().numpy()
        return [float(right[draw].mean()) for draw in draws]


def right(targets: Targets) -> Right:
    """Share of right answers."""
    return Right(len(targets.classes), average="micro")


@hookimpl
def register_backbones(register: Register) -> None:
    """Register the backbone."""
    register(NAME, practice, domain="practice")


@hookimpl
def register_metrics(register: Register) -> None:
    """Register the metric."""
    register(METRIC, right, kinds=("classes",))


@contextmanager
def registered() -> Iterator[None]:
    """Let recipes name the kit's backbone for a while."""
    plugins = loaded()
    if NAME in plugins.components["backbones"]:
        yield
        return
    module = ModuleType(NAME)
    vars(module).update(register_backbones=register_backbones, register_metrics=register_metrics)
    plugins.add(Plugin(NAME, __name__, "inarch", "0"), module)
    try:
        yield
    finally:
        plugins.remove(NAME)


@cache
def folder() -> Path:
    """Return a folder that is removed when the process ends."""
    path = Path(tempfile.mkdtemp(prefix="inarch-practice-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def data() -> Path:
    """Write a table of 120 rows whose class a line parts."""
    drawn = random.Random(0)
    lines = ["vector,class"]
    while len(lines) < 121:
        vector = [drawn.gauss(0, 1) for _ in range(SIZE)]
        side = vector[0] + vector[1]
        if abs(side) > 0.7:
            lines.append(f"{' '.join(f'{value:.4f}' for value in vector)},{'warm' if side > 0 else 'cold'}")
    path = folder() / "practice.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@cache
def weights(depth: int = DEPTH, still: bool = False) -> Path:
    """Write weights as if of a pretraining."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        state = practice(depth=depth, still=still).state_dict()
    path = folder() / f"weights-{depth}-{still}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path
