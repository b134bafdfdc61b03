"""A user's mistake at the command line, and plugins of a few lines."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import OFFLINE, TOY
from marked import write_marked
from stranger import write_plugin

HEAVY = ("torch", "timm", "torchvision", "transformers", "accelerate", "torchmetrics")
SPY = """\
import atexit, json, os, sys
atexit.register(lambda: open(os.environ["SPY"], "w").write(json.dumps(sorted(m for m in sys.modules if "." not in m))))
"""

Refused = Callable[..., str]


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """A recipe over 60 texts; it needs one of `marked.TASKS`."""
    return write_marked(tmp_path)


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Run a command line that must fail as a user's mistake; return what stands after ``Error:``.

    It must exit with 2 after one message, without a traceback, soon, importing no heavy library (`light=True`), and
    leave every file as it was.
    """
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(SPY + OFFLINE.read_text())

    def run(*arguments: object, light: bool = True, path: Path | None = None) -> str:
        before = _files(tmp_path)
        paths = [str(spy), str(TOY), *([str(path)] if path else [])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SPY": str(spy / "modules"), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "inarch", *map(str, arguments)]
        start = _seconds_of_children()
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        took = _seconds_of_children() - start
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert done.stderr.startswith("Error: ") and done.stderr.count("\nError:") == 0, done.stderr
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
        if light:
            imported = set(json.loads((spy / "modules").read_text()))
            assert not imported & set(HEAVY)
            assert took < 1.5  # measured: 0.2 to 0.6, and on a busy machine more
        assert {name: text for name, text in _files(tmp_path).items() if name in before} == before
        return done.stderr.removeprefix("Error: ").strip()

    return run


def _seconds_of_children() -> float:
    """Return the processor time of all finished child processes: unlike the clock's, no neighbour's work is in it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and "spy" not in path.parts}


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Write a plugin as pip would install it; return the folder for PYTHONPATH."""
    return partial(write_plugin, tmp_path / "site")
