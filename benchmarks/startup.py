"""Seconds from the shell to the answer, and that it came without torch and timm. Goal: under 0.3 s, with warm files.

    python benchmarks/startup.py [--rounds 15]

Bare Python and the commands take turns; the figure is the median. Processor seconds say more on a busy machine. The
same with 20 plugins more, each of two light modules with a component of each kind, a command, and a README in its
metadata as long as ours.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import DEMO_RECIPE, ROOT, report, spread

PLUGINS = 20
TOP = """
from inarch import Register, hookimpl
from bench_{number} import builders

{hooks}

@hookimpl
def register_commands(cli):
    cli.add_lazy("bench-{number}", "bench_{number}.commands:command", "Do what the plugin {number} does.")
"""
HOOK = """
@hookimpl
def register_{kind}(register: Register) -> None:
    register("bench_{number}_{kind}", builders.build_{kind})
"""
BUILDER = """
def build_{kind}({given}*, size: int = 3, rate: Annotated[float, Range(least=0, most=1)] = 0.5,
                 names: list[str] | None = None, how: Literal["a", "b"] = "a"):
    "Build one."
    raise NotImplementedError
"""
GIVEN = {"backbones": "", "heads": "targets, num_features, ", "datasets": "", "metrics": "targets, ", "strategies": ""}
HEAVY = {"torch", "timm", "torchvision", "transformers", "datasets", "accelerate"}


def write_plugins(folder):
    """Write plugins as pip would install them."""
    for number in range(PLUGINS):
        package, metadata = folder / f"bench_{number}", folder / f"bench_{number}-1.0.dist-info"
        package.mkdir()
        metadata.mkdir()
        hooks = "\n".join(HOOK.format(kind=kind, number=number) for kind in GIVEN)
        (package / "__init__.py").write_text(TOP.format(number=number, hooks=hooks))
        builders = [BUILDER.format(kind=kind, given=given) for kind, given in GIVEN.items()]
        imports = "from typing import Annotated, Literal\n\nfrom inarch import Range\n"
        (package / "builders.py").write_text(imports + "\n".join(builders))
        told = f"Metadata-Version: 2.4\nName: bench-{number}\nVersion: 1.0\nRequires-Dist: inarch>=0.1,<99\n\n"
        (metadata / "METADATA").write_text(told + (ROOT / "README.md").read_text(encoding="utf-8"))
        (metadata / "entry_points.txt").write_text(f"[inarch]\nbench_{number} = bench_{number}\n")


def seconds(arguments, path=""):
    """Return how long a fresh interpreter takes over the command, and how long it keeps a processor busy."""
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CONFIG_HOME": "/nowhere"}
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False, env=environment)
    end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return end - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def heavy_imports(arguments, path=""):
    """Return which of the heavy libraries the command imports."""
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-X", "importtime", *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
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
        plugins = Path(folder, "plugins")
        plugins.mkdir()
        write_plugins(plugins)
        listed = subprocess.run([sys.executable, "-m", "inarch", "list"], capture_output=True, text=True, check=True,
                                env={**os.environ, "PYTHONPATH": str(plugins)}).stdout  # fmt: skip
        assert listed.count("(bench_") == PLUGINS * len(GIVEN), listed
        misspelt = ["-m", "inarch", "train", str(DEMO_RECIPE), "backbone.name=tim"]
        commands = {
            "python": (["-c", "pass"], ""),
            "help": (["-m", "inarch", "--help"], ""),
            "typo": (["-m", "inarch", "train", str(typo)], ""),
            "typo in a name": (misspelt, ""),
            f"help, {PLUGINS} plugins": (["-m", "inarch", "--help"], str(plugins)),
            f"train --help, {PLUGINS} plugins": (["-m", "inarch", "train", "--help"], str(plugins)),
            f"typo in a name, {PLUGINS} plugins": (misspelt, str(plugins)),
        }
        times = [[seconds(*command) for command in commands.values()] for _ in range(rounds + 1)]
        for (name, command), taken in zip(commands.items(), zip(*times[1:], strict=True), strict=True):
            imported = heavy_imports(*command) if name != "python" else []
            elapsed, busy = (spread(column) for column in zip(*taken, strict=True))
            report(f"startup/{name}", elapsed.pop("median"), "s", **elapsed, processor_seconds=busy["median"],
                   heavy_imports=imported, goal="under 0.3")  # fmt: skip


if __name__ == "__main__":
    main()
