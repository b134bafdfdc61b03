"""The loop's own time: inarch's step over a hand-written PyTorch step on the same model, data and batch. Goal: 3 %.

    python benchmarks/overhead.py [--model tf_efficientnet_lite0] [--size 96] [--batch 32] [--precision fp32]

Both have the same levers (memory format, depthwise convolutions in fp32, fused AdamW, clipping) and the same decoded
images. A step of one is followed by a step of the other, so that whatever else the machine does hits both.
"""

import argparse
import copy
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from figures import report
from torch import nn

from inarch import Phase, Targets
from inarch.builtin.heads import classifier
from inarch.document import Document
from inarch.model import Model
from inarch.recipe import parse
from inarch.training.hardware import choose_precision, prepare_model, prepare_process
from inarch.training.job import Job
from inarch.training.loop import fit
from inarch.training.progress import Progress
from inarch.training.step import DTYPES
from inarch_vision.builders import timm

CLASSES = 10
REST = {"dataset": "folder", "backbone": "timm", "head": "classifier", "strategy": "full", "metrics": ["accuracy"]}


class Ready:
    """A training split whose steps are decoded, in memory: as many batches as there are, again and again."""

    lengths, notes = None, ()

    def __init__(self, batches, steps):
        self.batches, self.rows = batches, range(steps * len(batches[0][1]))

    def __getitem__(self, key):
        _, indices, size = key
        count, (image, targets) = len(indices), self.batches[indices[0] % len(self.batches)]
        return {"batch": {"image": image[:count]}, "targets": targets[:count], "rows": list(indices), "size": size,
                "skipped": [], "tokens": (count, count)}  # fmt: skip


class Bare:
    """The same training, as anybody would write it."""

    def __init__(self, model, batches, steps, recipe, precision, device):
        self.model, self.batches, self.device, self.done = model.train(), batches, device, 0
        self.dtype = DTYPES.get(precision)
        rate, decay = recipe.train.learning_rate, recipe.train.weight_decay
        self.optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay, fused=True)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)

    def step(self):
        image, targets = self.batches[self.done % len(self.batches)]
        image, targets = image.to(self.device, non_blocking=True), targets.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            outputs = self.model({"image": image})
        nn.functional.cross_entropy(outputs.float(), targets).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1


class TakeTurns(Progress):
    """After each step of inarch, lets the other make one; notes what both took: seconds, and seconds of a processor."""

    def __init__(self, other, device):
        self.other, self.pairs = other, []
        self.wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self.start = self.now()

    def now(self):
        self.wait()
        return np.array([time.perf_counter(), time.process_time()])

    def step(self, done, total, epoch, epochs):
        between = self.now()
        self.other.step()
        self.pairs.append((between - self.start, self.now() - between))
        self.start = self.now()


def build(model, size, weights="none"):
    """Return a timm model with a classifier of ten classes."""
    backbone = timm(model=model, weights=weights, image_size=size)
    names = tuple(map(str, range(CLASSES)))
    values = {name: number for number, name in enumerate(names)}
    targets = Targets("classes", names, {"train": [1] * CLASSES}, {"values": values})
    return Model(backbone, classifier(targets, backbone.num_features))


def ready(model, device, precision, compiled):
    """Give a model the levers, and move it to the device."""
    prepare_model(model, device, precision)
    model.to(device)
    if compiled:
        model.compile()
    return model


def make_batches(size, batch, device, count=4):
    """Return random images, uint8 (B, 3, S, S), with classes (B,), in pinned memory for a GPU."""
    torch.manual_seed(0)
    pixels = [torch.randint(256, (batch, 3, size, size), dtype=torch.uint8) for _ in range(count)]
    batches = [(image, torch.randint(CLASSES, (batch,))) for image in pixels]
    return (
        [(image.pin_memory(), classes.pin_memory()) for image, classes in batches] if device.type == "cuda" else batches
    )


def run(options, steps, make_progress=TakeTurns, accelerator=None):
    """Train by inarch's loop, with a twin to be trained by hand; return what the progress noted, and the precision.

    accelerator: of this process, if it is one of several; of these none waits for a twin.
    """
    recipe = parse(Document("benchmark", dict(REST)), {
        "train.batch_size": options.batch, "train.epochs": 1, "train.workers": 0, "train.precision": options.precision,
        "train.checkpoint_every": 1_000_000})  # fmt: skip
    accelerator = accelerator or Accelerator(cpu=options.device == "cpu", mixed_precision="no")
    device = accelerator.device
    precision = choose_precision(device, recipe.train.precision)
    prepare_process(device)
    model = build(options.model, options.size)
    twin = ready(copy.deepcopy(model), device, precision, options.compile)
    model = ready(model, device, precision, options.compile)
    batches = make_batches(options.size, options.batch, device)
    progress = make_progress(Bare(twin, batches, steps, recipe, precision, device), device)
    del twin
    with tempfile.TemporaryDirectory() as folder:
        job = Job(recipe, Path(folder), model, accelerator, precision, Ready(batches, steps), None, {}, {}, progress,
                  lambda epoch, metrics: None)  # fmt: skip
        rates = (recipe.train.learning_rate,) * len(model.backbone.layers())
        fit(job, [Phase("full", 1, rates, recipe.train.learning_rate)], None)
    return progress, precision


def arguments(description):
    """Return the parser of the options that a step depends on."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tf_efficientnet_lite0", help="a model of timm; its weights are random")
    parser.add_argument("--size", type=int, default=96, help="side of the images, in pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=60, help="of each, ten more to warm up")
    return parser


def compare(name, options, pairs, **details):
    """Print the ratio of inarch's step to the bare one: the median of pairs, and by processor time."""
    times = np.array(pairs)  # (steps, 2 contestants, 2 clocks)
    ratios = times[:, 0, 0] / times[:, 1, 0]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
    ours, bare = np.median(times, axis=0)
    report(
        name, middle, "inarch's step over a hand-written one, median of pairs", middle_half_of_pairs=[low, high],
        by_processor_time=float(ours[1] / bare[1]), inarch_ms=float(1e3 * ours[0]), bare_ms=float(1e3 * bare[0]),
        steps=len(pairs), model=options.model, size=options.size, batch=options.batch, **details,
    )  # fmt: skip


def main():
    parser = arguments(__doc__)
    parser.set_defaults(device="cpu", compile=False)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="fp32")
    options = parser.parse_args()
    turns, precision = run(options, options.steps + 10)
    compare(
        "overhead", options, turns.pairs[10:], precision=precision, threads=torch.get_num_threads(), goal="at most 1.03"
    )


if __name__ == "__main__":
    main()
