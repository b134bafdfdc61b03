"""The README tells the truth: its plugin works, its commands run, its tables match the code."""

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_vectors

from inarch.recipe import Train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_first_two_commands_are_targets_of_the_makefile() -> None:
    commands = blocks("sh")[0].split("\n")[:2]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [command.split("#")[0].split() for command in commands] == [["make", "demo"], ["make", "test"]]
    assert {"demo", "test"} <= set(targets)


def test_the_table_of_train_names_every_key_with_its_default() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", README, flags=re.MULTILINE))
    assert table == {field.name: _written(field.default) for field in dataclasses.fields(Train)}


def _written(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.slow
def test_the_console_blocks_run(tmp_path: Path) -> None:
    """As they stand, but for one epoch of seven, on smaller photos; `make demo` takes them all as they are."""
    pytest.importorskip("elpv_dataset", reason="the demo's photos are not installed; see requirements-demo.txt")
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"COLUMNS": "100", "NO_COLOR": "1"}
    environment.pop("OMP_NUM_THREADS", None)
    commands = [line[2:] for block in blocks("console") for line in block.split("\n") if line.startswith("$ ")]
    assert len(commands) >= 5
    printed = ""
    for command in commands:
        done = subprocess.run(
            re.sub(r"(inarch train \S+)", r"\1 train.epochs=1 backbone.image_size=96", command),
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed += done.stdout
    accuracy = float(re.search(r"^accuracy +([\d.]+)", printed, flags=re.MULTILINE)[1])
    assert accuracy > 0.72  # the demo's own figure is in the README; chance is 0.69
    assert (tmp_path / "runs" / "cells" / "report.html").exists()


def test_the_plugin_of_the_readme_trains(tmp_path: Path) -> None:
    source = next(block for block in blocks("python") if "hookimpl" in block)
    project = next(block for block in blocks("toml") if "entry-points" in block)
    name, module = re.search(r'entry-points.inarch\]\n(\w+) = "(\w+)"', project).groups()
    (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
    information = tmp_path / f"{module}-0.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
    (information / "entry_points.txt").write_text(f"[inarch]\n{name} = {module}\n")
    table = write_vectors(tmp_path / "vectors.csv")
    recipe = next(block for block in blocks("yaml") if f"backbone: {name}" in block or f"name: {name}" in block)
    (tmp_path / "recipe.yaml").write_text(recipe.replace("series.csv", str(table)), encoding="utf-8")
    command = [sys.executable, "-m", "inarch", *shlex.split("train recipe.yaml --out run")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
