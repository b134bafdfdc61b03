"""How several processes would share a training, told before it starts."""

import torch

from inarch.training.norms import moving_norms, parts_of, synchronise, tell_norms
from inarch.workflows.check import Checked
from inarch.workflows.start import build_model, build_strategy, phases


def sharing(checked: Checked, processes: int) -> list[str]:
    """Build the model, and return sentences: who sees how many examples, and what batch norms make of that."""
    train, length = checked.recipe.train, len(checked.dataset.splits["train"])
    sizes = {"a step": min(train.batch_size, length), "the last one of an epoch": length % train.batch_size}
    told = []
    for name, size in sizes.items():
        parts = parts_of(size, processes)
        if size and (size, processes) != (train.batch_size, 1):
            idle = "; who has none repeats an example that does not count" if 0 in parts else ""
            told.append(f"{processes} processes: {name} has {size} examples, {_counted(parts)}{idle}")
    largest = max(parts_of(sizes["a step"], processes))
    if train.micro_batch_size != "auto" and train.micro_batch_size < largest:
        count = -(-largest // train.micro_batch_size)
        told.append(f"each process computes its part in {count} micro-batches of at most {train.micro_batch_size}")
    model, strategy = build_model(checked), build_strategy(checked)
    if strategy.ladder(train):
        return [*told, "what its batch norms do depends on the strategy that the ladder chooses"]
    norms = moving_norms(model, phases(checked, model))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    levers = synchronise(model, norms, device, processes)
    return [*told, *levers, *tell_norms(model, norms, train, length, processes, device.type != "cpu")]


def _counted(parts: list[int]) -> str:
    if len(set(parts)) == 1:
        return f"{parts[0]} for each"
    return " + ".join(map(str, parts))
