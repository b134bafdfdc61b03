"""Promise 6: the gradient of a step does not depend on how the batch is spread and cut."""

from itertools import product
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from group import run_group
from safetensors.torch import load_file

import inarch
from inarch.checkpoint import file_hash
from inarch.training.progress import Progress

HERE = Path(__file__).parent


def reference(size: int, weights: str) -> dict[str, torch.Tensor]:
    """The gradient by definition: of the weighted mean over the whole batch at once."""
    from group_gradients import make_batch, make_model

    model = make_model(weights)
    vectors, targets = make_batch(size)
    total, count = model.head.loss(model({"vector": vectors}), targets)
    (total / count).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def reference_of_texts(kind: str, key: tuple[int, list[int], int]) -> dict[str, torch.Tensor]:
    """The same over texts, with partners and parts: of the whole batch at once."""
    from group_gradients import make_texts

    model, examples = make_texts(kind)
    item = examples[key]
    total, count = model.head.loss(model.train()(item["batch"]), item["targets"])
    (total / count).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def check_all(found: dict[str, torch.Tensor]) -> None:
    from group_gradients import LENGTHY, MICRO_BATCHES, SIZES, STEP, WEIGHTS

    for kind, key in product(LENGTHY, STEP):
        for name, expected in reference_of_texts(kind, key).items():
            for micro_batch in (3, 64):
                got = found[f"{kind} {key[2]} {micro_batch} {name}"]
                assert torch.linalg.norm(got - expected) <= 1e-6 * torch.linalg.norm(expected), (kind, key, name)
    for size, weights in product(SIZES, WEIGHTS):
        for name, expected in reference(size, weights).items():
            for micro_batch in MICRO_BATCHES:
                got = found[f"{size} {micro_batch} {weights} {name}"]
                assert torch.linalg.norm(got - expected) <= 1e-6 * torch.linalg.norm(expected), (size, micro_batch)


def test_gradients_are_equal_however_the_batch_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    from group_gradients import all_gradients

    check_all(all_gradients(Accelerator(cpu=True)))


def test_gradients_are_equal_over_two_processes_even_if_one_has_no_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HERE)
    run_group(HERE / "group_gradients.py", 2, tmp_path / "found.safetensors")
    check_all(load_file(tmp_path / "found.safetensors"))


class Listen(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_out_of_memory_goes_on_with_smaller_micro_batches_and_the_same_training(
    toy_recipe: Path, tmp_path: Path
) -> None:
    listen = Listen()
    short, cut = ({"backbone.memory": 3}, {"train.micro_batch_size": 2})
    inarch.train(toy_recipe, short, out=tmp_path / "short", progress=listen)
    inarch.train(toy_recipe, cut, out=tmp_path / "cut")
    assert file_hash(tmp_path / "short" / "model" / "model.safetensors") == file_hash(
        tmp_path / "cut" / "model" / "model.safetensors"
    )
    told = [text for text in listen.said if "out of memory" in text]
    assert [text.split(";")[0][-1] for text in told] == ["4", "2"]  # once for each halving, then never again


def test_out_of_memory_leaves_no_trace_in_dropout_and_batch_norm(toy_recipe: Path, tmp_path: Path) -> None:
    stateful = {"backbone.dropout": 0.3, "backbone.norm": True}
    inarch.train(toy_recipe, {**stateful, "backbone.memory": 4}, out=tmp_path / "short")
    inarch.train(toy_recipe, {**stateful, "train.micro_batch_size": 4}, out=tmp_path / "cut")
    assert file_hash(tmp_path / "short" / "model" / "model.safetensors") == file_hash(
        tmp_path / "cut" / "model" / "model.safetensors"
    )


def test_out_of_memory_with_a_chosen_micro_batch_size_is_an_error_that_says_what_to_write(
    toy_recipe: Path, tmp_path: Path
) -> None:
    options = {"backbone.memory": 3, "train.micro_batch_size": 8}
    with pytest.raises(
        inarch.RunError, match=r"out of memory with micro_batch_size 8; write train\.micro_batch_size=4"
    ):
        inarch.train(toy_recipe, options, out=tmp_path / "run")
