"""L2-SP: the pull to where the run began is exact, however a batch is cut, and after a resumption."""

import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from cuts import ending, resumed
from group import run_group
from inarch_toy.backbone import Vectors
from safetensors.torch import load_file, save_file

import inarch
from inarch.builtin.head_modules import Classifier
from inarch.builtin.strategies import l2_sp
from inarch.data.order import share
from inarch.interfaces.dataset import Targets
from inarch.model import Model
from inarch.recipe import Train
from inarch.training.optimization import Pull, first_values
from inarch.training.step import accumulate, optimize

ALPHA, ROWS, CLIP = 0.3, 37, 0.5
TARGETS = Targets("classes", ("a", "b"), {"train": [50, 12]}, {"values": {"a": 0, "b": 1}})


def moved() -> tuple[Model, Pull]:
    """A model in fp64 whose backbone has left its first values, and the pull to them."""
    torch.manual_seed(0)
    backbone = Vectors("none", 4, 8, 2, 0.0, False, 0.0, False, 0)
    model = Model(backbone, Classifier(TARGETS, 8, 0.0, "balanced", None, 0.0, "pooled")).double()
    phases = l2_sp(alpha=ALPHA).phases(backbone, Train())
    first = first_values(model, phases)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += torch.randn_like(parameter)
    return model, Pull(model, phases[0], first)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, 4, generator=random, dtype=torch.float64), torch.arange(ROWS) % 5 % 2


def by_definition() -> dict[str, torch.Tensor]:
    """The gradient of the mean loss with the penalty written out, clipped."""
    model, pull = moved()
    vectors, targets = batch()
    total, count = model.head.loss(model({"vector": vectors}), targets)
    penalty = sum(((parameter - first) ** 2).sum() for parameter, first in pull.pairs)
    (total / count + ALPHA / 2 * penalty).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def by_a_step(accelerator: Accelerator, micro_batch: int) -> dict[str, torch.Tensor]:
    """The same read off a step of SGD with rate 1."""
    model, pull = moved()
    vectors, targets = batch()
    mine = list(share(range(ROWS), accelerator.num_processes, accelerator.process_index))
    item = {"rows": mine, "size": ROWS, "skipped": [], "batch": {"vector": vectors[mine]}, "targets": targets[mine],
            "tokens": (len(mine),) * 2}  # fmt: skip
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    forward, optimizer = accelerator.prepare(model.train(), torch.optim.SGD(model.parameters(), lr=1.0))
    scaler = torch.GradScaler("cpu", enabled=False)
    total = accumulate(forward, model, item, micro_batch, accelerator, "fp32", scaler)
    optimize(model, optimizer, total, accelerator, CLIP, scaler, pull)
    accelerator.free_memory()
    return {name: before[name] - parameter.detach() for name, parameter in model.named_parameters()}


def check(found: dict[str, torch.Tensor]) -> None:
    for name, expected in by_definition().items():
        assert torch.linalg.norm(found[name] - expected) <= 1e-9 * torch.linalg.norm(expected), name


@pytest.mark.parametrize("micro_batch", [64, 10, 3])
def test_the_penalty_is_added_to_the_mean_loss_once_however_the_batch_is_cut(micro_batch: int) -> None:
    check(by_a_step(Accelerator(cpu=True), micro_batch))


def test_the_penalty_is_the_same_over_two_processes(tmp_path: Path) -> None:
    run_group(Path(__file__), 2, tmp_path / "found.safetensors")
    check(load_file(tmp_path / "found.safetensors"))


@pytest.mark.parametrize("step", [5, 17])
def test_a_resumed_run_is_pulled_to_where_it_began_not_to_where_it_was_cut(
    toy_recipe: Path, tmp_path: Path, step: int
) -> None:
    options = {"strategy": {"name": "l2_sp", "alpha": 3.0}, "train.epochs": 4, "train.checkpoint_every": 1,
               "train.evaluate_every": 100}  # fmt: skip
    whole, cut = resumed(toy_recipe, tmp_path, options, step)
    assert ending(cut) == ending(whole)


def test_a_strong_pull_keeps_the_weights_near_their_start(toy_recipe: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    start = Vectors("none", 4, 8, 2, 0.0, False, 0.0, False, 0).state_dict()
    save_file(start, tmp_path / "start.safetensors")
    ways = []
    for alpha in (1e-4, 10.0):
        options = {"strategy": {"name": "l2_sp", "alpha": alpha}, "train.epochs": 10, "train.optimizer": "sgd",
                   "backbone.weights": str(tmp_path / "start.safetensors")}  # fmt: skip
        run = inarch.train(toy_recipe, options, out=tmp_path / str(alpha)).directory
        after = load_file(run / "model" / "model.safetensors")
        ways.append(sum(float((after[f"backbone.{name}"] - start[name]).square().sum()) for name in start))
    assert ways[1] < 0.01 * ways[0]


if __name__ == "__main__":
    accelerator = Accelerator(cpu=True)
    tensors = by_a_step(accelerator, 10)
    if accelerator.is_main_process:
        save_file(tensors, sys.argv[1])
    accelerator.wait_for_everyone()
