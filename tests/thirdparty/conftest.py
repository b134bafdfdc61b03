"""Packages of third parties: they are installed and tested from outside, by the tests beside this file."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
collect_ignore_glob = ["inarch_*"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Install a package as pip does it, without a network: ``installed("inarch_timeseries")("inarch", "plugins")``.

    What is returned runs a module of Python where the package is installed.
    """

    @cache
    def install(package: str) -> Run:
        site = tmp_path_factory.mktemp(package)
        offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-cache-dir"]
        command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(site), HERE / package]
        subprocess.run(command, check=True)

        def run(*arguments: object, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
            environment = {**os.environ, "PYTHONPATH": str(site), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
            environment.pop("PYTEST_ADDOPTS", None)
            command = [sys.executable, "-m", *map(str, arguments)]
            return subprocess.run(
                command, cwd=folder or site, env=environment, capture_output=True, text=True, check=False, timeout=600
            )

        return run

    return install
