"""A package of a third party: installed as pip installs any, without a network, and used by people who never saw it."""

import ast
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import inarch

PACKAGE = Path(__file__).parent / "inarch_timeseries"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(installed: Callable[[str], Run]) -> Run:
    """Run a module of Python where the package is installed: ``run("inarch", "plugins")``."""
    return installed("inarch_timeseries")


def test_it_is_listed_with_its_distribution_and_all_that_it_registers(run: Run) -> None:
    done = run("inarch", "plugins", "--json")
    assert done.returncode == 0, done.stderr
    [found] = [plugin for plugin in json.loads(done.stdout) if plugin["name"] == "timeseries"]
    assert (found["distribution"], found["version"], found["error"]) == ("inarch-timeseries", "0.1.0", None)
    assert found["registered"] == {
        "backbones": ["patches"], "heads": ["forecast"], "datasets": ["series"], "metrics": ["mase"],
    }  # fmt: skip


def test_it_uses_no_name_of_inarch_that_is_not_public() -> None:
    files = sorted(PACKAGE.glob("src/**/*.py"))
    assert len(files) > 5
    names = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "inarch":
                assert node.module == "inarch", f"{file.name}, line {node.lineno}: {node.module}"
                names |= {alias.name for alias in node.names}
            if isinstance(node, ast.Import):
                assert not [alias.name for alias in node.names if alias.name.split(".")[0] == "inarch"]
    assert names and names <= set(inarch.__all__)


@pytest.mark.slow
def test_its_recipes_pretrain_and_transfer_on_the_command_line(run: Run, tmp_path: Path) -> None:
    short = ["train.batch_size=64", "train.workers=0", "train.precision=fp32", "train.epochs=1"]
    done = run("inarch", "train", PACKAGE / "recipes" / "fertility_source.yaml", *short, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    recipe = PACKAGE / "recipes" / "fertility_target.yaml"
    told = run("inarch", "check", recipe, folder=tmp_path)
    source = tmp_path / "runs" / "fertility_source" / "model"
    assert f"source model: {source}, trained by 'fertility_source'" in told.stdout, told.stderr
    done = run("inarch", "train", recipe, *short, folder=tmp_path)
    assert done.returncode == 0 and "mase" in done.stdout, done.stderr
    environment = json.loads((tmp_path / "runs" / "fertility_target" / "environment.json").read_text())
    assert environment["source"]["bundle"] == str(source)


@pytest.mark.slow
def test_its_own_tests_and_the_conformance_kit_pass(run: Run) -> None:
    done = run("pytest", "-q", "-c", PACKAGE / "pyproject.toml", PACKAGE / "tests")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    summary = done.stdout.strip().splitlines()[-1]
    assert " passed" in summary and int(summary.split(" passed")[0].split()[-1]) > 100, summary
