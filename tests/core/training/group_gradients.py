"""One process of a group: the gradients of one step, for several batch sizes and micro-batch sizes."""

import sys
from itertools import product

import torch
from accelerate import Accelerator
from inarch_toy.backbone import Vectors
from safetensors.torch import save_file

from inarch.builtin.head_modules import Classifier
from inarch.data.order import share
from inarch.interfaces.dataset import Targets
from inarch.model import Model
from inarch.training.step import accumulate, optimize

SIZES, MICRO_BATCHES, WEIGHTS = (64, 37, 1), (64, 16, 5), ("none", "balanced")


def make_model(weights: str) -> Model:
    """A small model in fp64 whose initial weights are always the same."""
    torch.manual_seed(0)
    targets = Targets("classes", ("a", "b", "c"), {"train": [50, 12, 2]}, {"values": {"a": 0, "b": 1, "c": 2}})
    backbone = Vectors("none", 4, 8, 2, 0.0, False, 0.0, False, 0)
    return Model(backbone, Classifier(targets, 8, 0.0, weights, None, 0.0, "pooled")).double()


def make_batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors (size, 4) and class numbers (size,); the rare class comes early, so micro-batches differ in weight."""
    random = torch.Generator().manual_seed(size)
    vectors = torch.randn(size, 4, generator=random, dtype=torch.float64)
    return vectors, torch.tensor([2 if index < 2 else index % 2 for index in range(size)])


def gradients(accelerator: Accelerator, size: int, micro_batch: int, weights: str) -> dict[str, torch.Tensor]:
    """The gradient of one step, read off a step of SGD with rate 1."""
    model = make_model(weights)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    forward, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=1.0))
    vectors, targets = make_batch(size)
    rows = list(share(range(size), accelerator.num_processes, accelerator.process_index))
    chosen = rows or [0]  # what the loop does for a process without examples
    item = {"rows": chosen, "size": size, "skipped": [], "batch": {"vector": vectors[chosen]},
            "targets": targets[chosen], "tokens": (len(chosen),) * 2, "idle": not rows}  # fmt: skip
    scaler = torch.GradScaler("cpu", enabled=False)
    total = accumulate(forward, model, item, micro_batch, accelerator, "fp32", scaler)
    optimize(model, optimizer, total, accelerator, None, scaler)
    accelerator.free_memory()
    return {name: before[name] - tensor for name, tensor in model.state_dict().items()}


def all_gradients(accelerator: Accelerator) -> dict[str, torch.Tensor]:
    """The gradients of every case, by a name that says which."""
    found = {}
    for size, micro_batch, weights in product(SIZES, MICRO_BATCHES, WEIGHTS):
        for name, tensor in gradients(accelerator, size, micro_batch, weights).items():
            found[f"{size} {micro_batch} {weights} {name}"] = tensor.clone()
    return found


if __name__ == "__main__":
    accelerator = Accelerator(cpu=True)
    found = all_gradients(accelerator)
    if accelerator.is_main_process:
        save_file(found, sys.argv[1])
    accelerator.wait_for_everyone()
