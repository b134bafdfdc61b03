"""What every verb shares: the help page, an output that cannot be written, an interruption."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Inarch


def test_without_a_verb_the_help_page_is_printed(inarch: Inarch) -> None:
    ended = inarch()
    assert ended.stdout.startswith("Usage: ") and "predict" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full device is a file of Linux")
def test_an_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "inarch", "list", "metrics"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "Error: the output could not be written: No space left on device\n"


def test_an_empty_run_directory_is_refused(inarch: Inarch, toy_recipe: Path) -> None:
    ended = inarch("train", toy_recipe, "--out", "")
    assert ended.returncode == 2
    assert "--out: expected a folder, found empty text" in ended.stderr
