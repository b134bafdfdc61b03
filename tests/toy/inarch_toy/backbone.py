"""The toy plugin's backbone, with everything that a real one has."""

import torch
from torch import Tensor, nn

from inarch import Backbone, Features, load_strictly, read_state


class Numbers:
    """Text to a vector; in training with noise from torch's global generator."""

    def __init__(self, size: int, noise: float) -> None:
        self.size, self.noise = size, noise

    def __call__(self, raw: object) -> dict[str, Tensor]:
        values = torch.tensor([float(part) for part in str(raw).split()])
        if len(values) != self.size:
            raise ValueError(f"expected {self.size} numbers, found {len(values)}")
        return {"vector": values + self.noise * torch.randn(self.size) if self.noise else values}


class MixedNumbers(Numbers):
    """The same, mixing two examples half and half."""

    def mix(self, example: dict[str, Tensor], partner: dict[str, Tensor]) -> tuple[dict[str, Tensor], float]:
        share = float(torch.rand(()))
        return {"vector": share * example["vector"] + (1 - share) * partner["vector"]}, share


class Vectors(Backbone):
    """A small network over vectors; each hidden unit is also a token."""

    domain = "vector"
    provides = frozenset({"pooled", "tokens"})

    def __init__(self, weights, size, width, depth, dropout, norm, noise, mixup, memory) -> None:
        super().__init__()
        self.num_features, self.memory = width, memory
        self.resolved = {
            "weights": weights, "size": size, "width": width, "depth": depth, "dropout": dropout, "norm": norm,
            "noise": noise, "mixup": mixup, "memory": memory,
        }  # fmt: skip
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(size if index == 0 else width, width),
                nn.BatchNorm1d(width) if norm else nn.Identity(),
                nn.Tanh(),
                nn.Dropout(dropout),
            )
            for index in range(depth)
        )

    def load_weights(self) -> None:
        if self.resolved["weights"] != "none":
            load_strictly(self, read_state(self.resolved["weights"]), self.resolved["weights"])

    def transform(self, training: bool) -> Numbers:
        kind = MixedNumbers if training and self.resolved["mixup"] else Numbers
        return kind(self.resolved["size"], self.resolved["noise"] if training else 0.0)

    def forward(self, vector: Tensor) -> Features:
        if self.training and self.memory and len(vector) > self.memory:
            raise torch.OutOfMemoryError("pretending")
        hidden = vector.to(next(self.parameters()).dtype)
        for block in self.blocks:
            hidden = block(hidden)
        return Features(pooled=hidden, tokens=hidden[:, None].expand(-1, 3, -1))

    def layers(self) -> list[list[str]]:
        names = [name for name, _ in self.named_parameters()]
        return [[name for name in names if name.startswith(f"blocks.{index}.")] for index in range(len(self.blocks))]
