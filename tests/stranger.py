"""Plugins of a few lines, as pip would install them, and the command line that finds them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from conftest import TOY

METRIC = """
from inarch import hookimpl
def build(targets, *, size: int = 1): "A thing."
@hookimpl
def register_metrics(register):
    register("{name}", build)
"""


def write_plugin(
    site: Path, name: str, source: str, distribution: str | None = None, requires: Sequence[str] = ()
) -> Path:
    """Write a module and the metadata of its distribution; return the folder for PYTHONPATH."""
    distribution = distribution or f"inarch-{name}"
    module = distribution.replace("-", "_")
    information = site / f"{module}-1.0.dist-info"
    information.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {distribution}", "Version: 1.0"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (information / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (information / "entry_points.txt").write_text(f"[inarch]\n{name} = {module}\n")
    (site / f"{module}.py").write_text(source)
    return site


def command_line(
    site: Path, *arguments: object, env: dict[str, str] | None = None, home: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command line that finds the plugins of a folder and the toy's."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{site}{os.pathsep}{TOY}",
        "XDG_CONFIG_HOME": str(home or site / "home"),
        "NO_COLOR": "1",
        **(env or {}),
    }
    command = [sys.executable, "-m", "inarch", *map(str, arguments)]
    return subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, timeout=120, check=False)
