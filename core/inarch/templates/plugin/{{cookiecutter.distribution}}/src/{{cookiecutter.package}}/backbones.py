"""The backbone: a series of numbers to features.

Shapes: B batch, T steps, D features.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from inarch import Backbone, Features, load_strictly, read_state
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from {{cookiecutter.package}}.series import read_series


class Convolution(Backbone):
    """Convolutions that halve the number of steps, and the mean of the steps that are left.

    The constructor makes random weights and nothing else: `load_weights` is called once head and data are known to fit.
    `resolved` holds every option, so that a bundle can call the builder again.
    """

    domain = "{{cookiecutter.domain}}"
    provides = frozenset({"pooled", "tokens"})

    def __init__(self, weights: str, width: int, depth: int, dropout: float, noise: float) -> None:
        super().__init__()
        self.num_features = width
        self.resolved = {"weights": weights, "width": width, "depth": depth, "dropout": dropout, "noise": noise}
        self.blocks = nn.ModuleList(Block(width if index else 1, width, dropout) for index in range(depth))

    def load_weights(self) -> None:
        """Load the file that the options name; a missing, unexpected or misshapen tensor is an error.

        The weights of a run are inarch's to load, for every backbone: `weights: runs/waves`.
        """
        address = self.resolved["weights"]
        if address != "none":
            load_strictly(self, read_state(address), address)

    def transform(self, training: bool) -> Callable[[Any], dict[str, Tensor]]:
        """Return what turns a raw example into tensors, in training with noise."""
        return Read(self.resolved["noise"] if training else 0.0)

    def length(self, example: dict[str, Tensor]) -> int:
        """Return the number of steps of an example: batches are made of examples of similar length."""
        return len(example["series"])

    def measure(self, raw: Any) -> int:
        """Return the `length` that a raw example will have."""
        return len(read_series(raw))

    def collate(self, examples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return `series` (B, T), padded with zeros, and `mask` (B, T), True where a step is real."""
        series = pad_sequence([example["series"] for example in examples], batch_first=True)
        lengths = torch.tensor([len(example["series"]) for example in examples])
        return {"series": series, "mask": torch.arange(series.shape[1]) < lengths[:, None]}

    def forward(self, **batch: Tensor) -> Features:
        """Return `pooled` (B, D), the mean of the steps, and `tokens` (B, T, D), the steps, with their mask."""
        mask = batch["mask"]
        tokens = batch["series"].to(next(self.parameters()).dtype)[..., None]
        for block in self.blocks:
            tokens, mask = block(tokens, mask)
        return Features(pooled=tokens.sum(1) / mask.sum(1, keepdim=True), tokens=tokens, mask=mask)

    def layers(self) -> list[list[str]]:
        """Return the names of each block's parameters, from input to output: strategies freeze by this list."""
        return [[f"blocks.{index}.{name}" for name, _ in block.named_parameters()]
                for index, block in enumerate(self.blocks)]  # fmt: skip


class Block(nn.Module):
    """A convolution with a stride of two, layer norm, GELU and dropout.

    A step's result depends on real steps alone: padding is zero again after each block, as what lies beyond the ends
    of a series is, and the norm is over the features of one step. A norm over steps would see the padding, and the same
    series would have other features in another batch.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel_size=5, stride=2, padding=2)
        self.norm = nn.LayerNorm(outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return steps (B, T / 2, outputs), rounded up, and their mask, for steps (B, T, inputs)."""
        mask = mask[:, ::2]
        steps = self.dropout(F.gelu(self.norm(self.convolution(steps.mT).mT)))
        return steps * mask[..., None], mask


class Read:
    """Raw example to `series` (T,), of mean 0 and deviation 1; `noise` is drawn from torch's global generator.

    A class and no lambda, for loader workers get it pickled. inarch seeds the global generators from (seed, epoch,
    example) before each call, so that the same recipe sees the same noise with any number of workers.
    """

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def __call__(self, raw: Any) -> dict[str, Tensor]:
        """Return the example; a constant series is all zeros."""
        series = torch.tensor(read_series(raw), dtype=torch.float64)  # whose sums do not overflow
        series = ((series - series.mean()) / series.std(correction=0).clamp_min(1e-12)).float()
        return {"series": series + self.noise * torch.randn(len(series)) if self.noise else series}
