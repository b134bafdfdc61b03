"""On a GPU: examples per second, the loop's overhead, peak memory, and that the loop never waits for the device.

    python benchmarks/gpu.py [--model resnet50] [--size 224] [--batch 128] [--precision auto] [--compile]

Random images in pinned memory and random weights. Overhead is measured as in overhead.py; the waits are counted by
torch's own warning at each synchronisation, in inarch's steps and in as many hand-written ones. Goal: none added.
Without a GPU it says so; --device cpu runs the parts that need none, to try the script.
"""

import time
import warnings
from functools import partial

import torch
from figures import report
from overhead import TakeTurns, arguments, compare, run

from inarch.training.progress import Progress

WARMUP = 10
"""Steps that are not measured."""


class Alone(Progress):
    """Lets inarch run by itself, without the other in memory; notes seconds and peak memory after the warm-up."""

    def __init__(self, other, device):
        self.on_gpu = device.type == "cuda"

    def step(self, done, total, epoch, epochs):
        if self.on_gpu and done in (WARMUP, total):  # elsewhere, waiting would hide what the loop itself waits for
            torch.cuda.synchronize()
        if done == WARMUP:
            self.start = time.perf_counter()
            if self.on_gpu:
                torch.cuda.reset_peak_memory_stats()
        if done == total:
            self.seconds = time.perf_counter() - self.start
            self.peak_mib = torch.cuda.max_memory_allocated() / 2**20 if self.on_gpu else None


class Watched(TakeTurns):
    """Counts the waits for the device that torch warns of, in inarch's steps and in the others."""

    def __init__(self, seen, other, device):
        super().__init__(other, device)
        self.seen, self.waits = seen, []

    def step(self, done, total, epoch, epochs):
        ours = self.count()
        self.other.step()
        self.waits.append((ours, self.count()))

    def count(self):
        """Return how many waits were warned of since the last call."""
        count = sum("synchroniz" in str(warning.message) for warning in self.seen)
        self.seen.clear()
        return count


def added_waits(options, steps):
    """Return the mean waits of a step, of inarch and of the hand-written one; neither the first nor the last counts."""
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        counts = run(options, steps, partial(Watched, seen))[0].waits[1:-1]
    torch.cuda.set_sync_debug_mode("default")
    return [sum(column) / len(counts) for column in zip(*counts, strict=True)]


def main():
    parser = arguments(__doc__)
    parser.set_defaults(model="resnet50", size=224, batch=128, precision="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        return print("gpu.py: there is no CUDA GPU on this machine; nothing was measured")
    turns, precision = run(options, options.steps + WARMUP)
    settings = {"precision": precision, "compile": options.compile}
    compare("gpu/overhead", options, turns.pairs[WARMUP:], goal="at most 1.03", **settings)
    settings.update(model=options.model, size=options.size, batch=options.batch)
    alone, _ = run(options, options.steps + WARMUP, Alone)
    rate = options.steps * options.batch / alone.seconds
    report("gpu/throughput", rate, "examples/s", peak_mib=alone.peak_mib, **settings)
    if options.device == "cuda":
        ours, bare = added_waits(options, options.steps)
        report("gpu/waits", ours - bare, "waits for the device per step, added", inarch=ours, bare=bare, goal="0")


if __name__ == "__main__":
    main()
