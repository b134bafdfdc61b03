"""One process of a group: the gradients of one step, for several batch sizes and micro-batch sizes."""

import sys
from itertools import product
from typing import Any

import torch
from accelerate import Accelerator
from inarch_toy.backbone import Vectors
from inarch_toy.spelling import Letters
from safetensors.torch import save_file

from inarch.builtin.embedder_targets import read_embedder
from inarch.builtin.head_modules import Classifier
from inarch.builtin.heads import embedder, tagger
from inarch.builtin.segment_targets import read_segments
from inarch.data.loaders import Examples, Item
from inarch.data.order import share
from inarch.interfaces.dataset import Dataset, Rows, Targets
from inarch.model import Model
from inarch.training.step import accumulate, optimize

SIZES, MICRO_BATCHES, WEIGHTS = (64, 37, 1), (64, 16, 5), ("none", "balanced")
LENGTHY, STEP = ("partners", "pairs", "segments"), [(0, [5, 0, 9, 2, 7, 1, 3], 7), (1, [4], 1)]


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


def make_texts(kind: str) -> tuple[Model, Examples]:
    """A small model in fp64 and ten texts of 1 to 17 letters: with partners, in pairs, or with segments to find."""
    texts = ["ah" * index + "abcdefgh"[index % 8] for index in [3, 0, 8, 1, 5, 2, 7, 4, 6, 1]]
    found = [[{"start": 0, "end": len(text) // 2, "label": "x"}] if len(text) > 2 else [] for text in texts]
    columns = {"text": texts, "other": texts[::-1], "like": [0.1 * n for n in range(10)], "found": found,
               "kind": list("aabababbba")}  # fmt: skip
    named = {"partners": ("text", "kind"), "pairs": (("text", "other"), "like"), "segments": ("text", "found")}
    dataset = Dataset({"train": Rows(columns)}, *named[kind])
    torch.manual_seed(0)
    backbone = Letters("none", 8, True, None)
    head = (
        tagger(read_segments(dataset), 8, class_weights={"x": 3.0})
        if kind == "segments"
        else embedder(read_embedder(dataset, {"loss": "cosine"}), 8)
    )
    return Model(backbone, head).double(), Examples(dataset, "train", backbone, head, 0, False)


def gradients(accelerator: Accelerator, size: int, micro_batch: int, weights: str) -> dict[str, torch.Tensor]:
    """The gradient of one step over vectors."""
    vectors, targets = make_batch(size)
    rows = list(share(range(size), accelerator.num_processes, accelerator.process_index))
    chosen = rows or [0]  # what the loop does for a process without examples
    item = {"rows": chosen, "size": size, "skipped": [], "batch": {"vector": vectors[chosen]},
            "targets": targets[chosen], "tokens": (len(chosen),) * 2, "idle": not rows}  # fmt: skip
    return step(accelerator, make_model(weights), item, micro_batch)


def gradients_of_texts(accelerator: Accelerator, kind: str, key: Any, micro_batch: int) -> dict[str, torch.Tensor]:
    """The gradient of one step over texts."""
    model, examples = make_texts(kind)
    epoch, rows, size = key
    mine = list(share(rows, accelerator.num_processes, accelerator.process_index))
    item = examples[(epoch, mine or rows[:1], size)] | {"idle": not mine}
    return step(accelerator, model, item, micro_batch)


def step(accelerator: Accelerator, model: Model, item: Item, micro_batch: int) -> dict[str, torch.Tensor]:
    """The gradient of one step, read off a step of SGD with rate 1."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    forward, optimizer = accelerator.prepare(model.train(), torch.optim.SGD(model.parameters(), lr=1.0))
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
    for kind, key, micro_batch in product(LENGTHY, STEP, (3, 64)):
        for name, tensor in gradients_of_texts(accelerator, kind, key, micro_batch).items():
            found[f"{kind} {key[2]} {micro_batch} {name}"] = tensor.clone()
    return found


if __name__ == "__main__":
    accelerator = Accelerator(cpu=True)
    found = all_gradients(accelerator)
    if accelerator.is_main_process:
        save_file(found, sys.argv[1])
    accelerator.wait_for_everyone()
