"""Seconds from the shell to the answer, and that it came without torch and timm. Goal: under 0.3 s, with warm files.

    python benchmarks/startup.py [--rounds 15]

Bare Python and the commands take turns; the figure is the median. Processor seconds say more on a busy machine.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import DEMO_RECIPE, report, spread

HEAVY = {"torch", "timm", "torchvision", "transformers", "datasets", "accelerate"}


def seconds(arguments):
    """Return how long a fresh interpreter takes over the command, and how long it keeps a processor busy."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return end - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def heavy_imports(arguments):
    """Return which of the heavy libraries the command imports."""
    told = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=False)
    modules = {line.rsplit("|", 1)[-1].strip() for line in told.stderr.splitlines() if line.startswith("import time:")}
    assert "inarch" in modules, told.stderr[-500:]
    return sorted(modules & HEAVY)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        typo = Path(folder, "typo.yaml")
        typo.write_text(DEMO_RECIPE.read_text().replace("epochs:", "epoch:"))
        commands = {
            "python": ["-c", "pass"],
            "help": ["-m", "inarch", "--help"],
            "typo": ["-m", "inarch", "train", str(typo)],
            "typo in a name": ["-m", "inarch", "train", str(DEMO_RECIPE), "backbone.name=tim"],
        }
        times = [[seconds(command) for command in commands.values()] for _ in range(rounds + 1)]
        for (name, command), taken in zip(commands.items(), zip(*times[1:], strict=True), strict=True):
            imported = heavy_imports(command) if name != "python" else []
            elapsed, busy = (spread(column) for column in zip(*taken, strict=True))
            report(f"startup/{name}", elapsed.pop("median"), "s", **elapsed, processor_seconds=busy["median"],
                   heavy_imports=imported, goal="under 0.3")  # fmt: skip


if __name__ == "__main__":
    main()
