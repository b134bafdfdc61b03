"""On GPUs: examples per second, share of the peak (MFU), memory, the loop's overhead, and waits for the device.

    python benchmarks/gpu.py [--model resnet50] [--size 224] [--batch 128] [--precision fp32 bf16] [--compile no yes]
                             [--processes N]

Random images in pinned memory and random weights, in each precision, as it is and compiled. Overhead is measured as in
overhead.py; the waits are counted by torch's own warning at each synchronisation, in inarch's steps and in as many
hand-written ones. Goal: none added. With --processes also on N GPUs, --batch images on each, through accelerate's
launcher and a configuration file for DDP and one for FSDP2 (weights in shards, gathered block by block).

Model-flops utilisation: the floating-point operations of a step there and back, counted by torch, over what the device
could do in that time at its published peak for dense bf16, whatever the precision is.
Without a GPU it says so; --device cpu runs the parts that need none, to try the script.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from itertools import product
from pathlib import Path

import torch
from accelerate.utils import gather_object
from figures import report
from overhead import TakeTurns, arguments, build, compare, run
from torch.utils.flop_counter import FlopCounterMode

from inarch.training.engine import make_accelerator
from inarch.training.progress import Progress

WARMUP = 10
"""Steps that are not measured."""

PEAKS = {
    "B200": 2250, "H200 NVL": 835, "H200": 989, "GH200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989,
    "A100": 312, "A30": 165, "A10": 125, "L40S": 362, "L40": 181, "L4": 121, "RTX 4090": 165,
}  # fmt: skip
"""Teraflops of dense bf16 with fp32 sums, by the words of a name, from NVIDIA's data sheets.

These give twice as much, with sparsity. The first that fits counts.
"""

CONFIGURATION = """\
compute_environment: LOCAL_MACHINE
distributed_type: {kind}
mixed_precision: 'no'
num_machines: 1
num_processes: {processes}
main_process_port: 0
"""
SHARDS = """\
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: SHARDED_STATE_DICT
"""
ENGINES = {"DDP": ("MULTI_GPU", ""), "FSDP2": ("FSDP", SHARDS)}


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


def operations(options):
    """Return the floating-point operations of an image there and back, as torch counts them for two."""
    model = build(options.model, options.size).train()
    images = torch.randint(256, (2, 3, options.size, options.size), dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter:
        model({"image": images}).sum().backward()
    return counter.get_total_flops() / 2


def peak():
    """Return the device's published peak in operations per second, and how it is known."""
    if not torch.cuda.is_available():
        return None, "no GPU"
    name = torch.cuda.get_device_name()
    words = re.split("[ -]", name)
    found = next((known for known in PEAKS if set(known.split()) <= set(words)), None)
    return (
        (PEAKS[found] * 1e12, f"{found}: {PEAKS[found]} TFLOPS dense bf16") if found else (None, f"not known: {name}")
    )


def throughput(options, name, engine=None, accelerator=None):
    """Report examples per second of the loop by itself, of all processes, with memory and MFU."""
    processes = accelerator.num_processes if accelerator else 1
    given = argparse.Namespace(**{**vars(options), "batch": options.batch * processes})
    alone, precision = run(given, options.steps + WARMUP, Alone, accelerator)
    memory = alone.peak_mib
    if accelerator:
        memory = max(gather_object([memory])) if memory is not None else None
        if not accelerator.is_main_process:
            return
    rate, each = options.steps * given.batch / alone.seconds, operations(options)
    possible, known = peak() if options.device == "cuda" else (None, "no GPU")
    report(
        name, rate, "examples/s", engine=engine, processes=processes, precision=precision, compile=options.compile,
        peak_mib_of_a_device=memory, gflop_per_example=each / 1e9, mfu=rate * each / (possible * processes) if possible
        else None, mfu_of=known, model=options.model, size=options.size, batch=given.batch,
    )  # fmt: skip


def single(options):
    """Report everything on one device."""
    turns, precision = run(options, options.steps + WARMUP)
    settings = {"precision": precision, "compile": options.compile}
    compare("gpu/overhead", options, turns.pairs[WARMUP:], goal="at most 1.03", **settings)
    throughput(options, "gpu/throughput")
    if options.device == "cuda":
        ours, bare = added_waits(options, options.steps)
        settings.update(model=options.model, size=options.size, batch=options.batch)
        report("gpu/waits", ours - bare, "waits for the device per step, added", inarch=ours, bare=bare, goal="0")


def several(options):
    """Start this script again in several processes, once for each way to spread a training, by accelerate."""
    for engine, (kind, rest) in ENGINES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "accelerate.yaml"
            path.write_text(CONFIGURATION.format(kind=kind, processes=options.processes) + rest)
            command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path)]
            subprocess.run([*command, *sys.argv, "--engine", engine], check=True)


def main():
    parser = arguments(__doc__)
    parser.set_defaults(model="resnet50", size=224, batch=128)
    parser.add_argument("--precision", nargs="+", choices=("auto", "fp32", "bf16", "fp16"), default=["fp32", "bf16"])
    parser.add_argument("--compile", nargs="+", choices=("no", "yes"), default=["no", "yes"])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--processes", type=int, default=1, help="also on so many GPUs, by DDP and by FSDP2")
    parser.add_argument("--engine", choices=tuple(ENGINES), help=argparse.SUPPRESS)  # this is one of the processes
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        return print("gpu.py: there is no CUDA GPU on this machine; nothing was measured")
    accelerator = make_accelerator() if options.engine else None
    for precision, compiled in product(options.precision, options.compile):
        given = argparse.Namespace(**{**vars(options), "precision": precision, "compile": compiled == "yes"})
        if accelerator:
            throughput(given, "gpu/processes", options.engine, accelerator)
        else:
            single(given)
    if accelerator:
        accelerator.end_training()
    elif options.processes > 1:
        several(options)


if __name__ == "__main__":
    main()
