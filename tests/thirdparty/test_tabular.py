"""A plugin in one file, over the tables that scikit-learn ships."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "inarch_tabular"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_it_trains_and_lends_its_backbone_to_a_run_with_twenty_examples(
    installed: Callable[[str], Run], tmp_path: Path
) -> None:
    run = installed("inarch_tabular")
    recipe, short = PACKAGE / "breast_cancer.yaml", ["train.workers=0", "train.precision=fp32"]
    done = run("inarch", "train", recipe, *short, "--out", "source", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    value = float(next(line for line in done.stdout.splitlines() if line.startswith("accuracy")).split()[1])
    assert value > 0.9  # always the same answer: 0.63
    again = ["backbone.weights=source", "splits.examples=20", "train.epochs=1", *short]
    done = run("inarch", "train", recipe, *again, "--out", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f'"bundle": "{tmp_path}/source/model"' in (tmp_path / "run" / "environment.json").read_text()


@pytest.mark.slow
def test_the_conformance_kit_passes(installed: Callable[[str], Run], tmp_path: Path) -> None:
    done = installed("inarch_tabular")("pytest", "-q", "--inarch-plugin", "tabular", folder=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(done.stdout.strip().splitlines()[-1].split(" passed")[0].split()[-1]) > 50
