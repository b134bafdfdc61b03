"""A new plugin: its package installs, passes its tests and the kit, and trains; names that will not do are refused."""

import os
import re
import resource
import shlex
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata

from inarch.errors import PluginError
from inarch.plugins import Plugin, Plugins
from inarch.workflows.scaffold import LICENSES, requirement, scaffold

ROOT = Path(__file__).parents[3]
RUFF = Path(sysconfig.get_path("scripts")) / "ruff"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def written_commands() -> list[list[str]]:
    """Return the commands that the page for writers of plugins says to type up to the kit's own section."""
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8").split("## The conformance kit", 1)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of a new plugin, as the page says to make it."""
    folder = tmp_path_factory.mktemp("scaffold")
    [new] = [command for command in written_commands() if command[:3] == ["inarch", "plugins", "new"]]
    done = subprocess.run([sys.executable, "-m", *new], cwd=folder, capture_output=True, text=True, check=True)
    assert "Now: pip install -e 'inarch-seismic[test]'" in done.stdout
    return folder / "inarch-seismic"


@pytest.fixture(scope="module")
def run(package: Path) -> Run:
    """Run a module in an environment of its own that has the package, and beneath it everything that this one has."""
    home = package.parent / "environment"
    venv.create(home, symlinks=True)
    [site] = home.glob("lib/python*/site-packages")
    beneath = sysconfig.get_path("purelib")
    (site / "beneath.pth").write_text(f"import site; site.addsitedir({beneath!r})\n", encoding="utf-8")
    environment = {**os.environ, "NO_COLOR": "1", "INARCH_STRICT_PLUGINS": "1"}

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [str(home / "bin" / "python"), "-m", *map(str, arguments)]
        done = subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    install = ["install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", str(package)]
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, *install], check=True)
    return run


def test_it_is_installed_as_any_strangers_plugin_is(run: Run) -> None:
    listed = run("inarch", "plugins").stdout
    assert "seismic  (inarch-seismic 0.1.0)" in listed and "broken" not in listed
    for name in ("convolution", "ordinal", "waves", "distance", "last_layers"):
        assert f"seismic_{name}" in listed


TOLD = {
    "inarch plugins": "seismic_convolution",
    "inarch check recipes/waves.yaml": "waves of seed 0",
    "inarch train recipes/waves.yaml --out runs/waves": "test metrics",
    "pytest": r"\b\d\d passed in",
    "pytest --inarch-plugin seismic": r"\b\d\d\d passed, \d+ skipped in",
    "inarch train recipes/waves.yaml dataset.seed=1 dataset.examples=120 splits.test=0.5 train.batch_size=8 "
    "backbone.weights=runs/waves strategy=seismic_last_layers": "source model: .*test metrics",
}


@pytest.mark.slow
def test_the_commands_of_the_page_for_writers_work_one_after_the_other(run: Run) -> None:
    """With fewer epochs than there."""
    commands = [
        command for command in written_commands() if command[0] in ("inarch", "pytest") and "new" not in command
    ]
    assert [" ".join(command) for command in commands] == list(TOLD)
    for command in commands:
        fewer = ["train.epochs=2"] if "train" in command else []
        done = run(*command, *fewer)
        assert re.search(TOLD[" ".join(command)], done.stderr + done.stdout, re.DOTALL)


@pytest.mark.parametrize("name", ["inarch-seismic", "credit-tables", "inarch-quite-a-long-name-of-a-domain"])
def test_it_is_tidy_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    written = scaffold(name, "timeseries", tmp_path)
    for check in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([RUFF, *check, "."], cwd=written, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    text = "".join(file.read_text(encoding="utf-8") for file in written.rglob("*") if file.is_file())
    assert "cookiecutter" not in text and name in text


def test_components_of_two_new_plugins_do_not_clash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = Plugins()
    for name in ("one", "two"):
        package = scaffold(f"inarch-{name}", "timeseries", tmp_path)
        monkeypatch.syspath_prepend(package / "src")
        plugins.load(Plugin(name, f"inarch_{name}", f"inarch-{name}", "0.1.0"))
        assert plugins.known[name].error is None
    assert [len(found) for found in plugins.components.values()] == [2, 2, 2, 2, 2]


@pytest.mark.parametrize("license", LICENSES)
def test_the_licence_that_was_chosen_is_in_the_package_and_in_its_metadata(license: str, tmp_path: Path) -> None:
    written = scaffold("inarch-seismic", "timeseries", tmp_path, license, "Ada Lovelace")
    text = (written / "LICENSE").read_text(encoding="utf-8")
    first = {"Apache-2.0": "Apache License", "MIT": "MIT License", "BSD-3-Clause": "BSD 3-Clause License"}
    assert text.strip().startswith(first.get(license, "Copyright (c)"))
    assert ("Ada Lovelace" in text) == (license != "Apache-2.0")  # which names nobody
    metadata = ProjectMetadata(str(written), None).core
    assert metadata.license_expression == {"proprietary": "LicenseRef-Proprietary"}.get(license, license)
    assert ("Private :: Do Not Upload" in metadata.classifiers) == (license == "proprietary")


def test_it_requires_the_minor_version_that_it_is_written_for() -> None:
    assert requirement("0.1.0") == "inarch>=0.1,<0.2"
    assert requirement("1.12.3.dev1") == "inarch>=1.12,<1.13"


def test_its_requirement_and_its_entry_point_are_in_its_metadata(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"][0] == "inarch>=0.1,<0.2"
    assert project["entry-points"]["inarch"] == {"seismic": "inarch_seismic"}


REFUSED = {
    "Inarch_Seismic": "Try: inarch-seismic",
    "inarch seismic": "Try: inarch-seismic",
    "../evil": "Try: evil",
    "-": "such as inarch-seismic",
    "inarch-séismes": "Try: inarch-sismes",
    "class": "Try: inarch-class",
    "3d-scans": "Try: inarch-3d-scans",
    "numpy": "taken: numpy",
    "json": "taken: Python imports another package as 'json'",
    "vision": "taken: a plugin called 'vision' is installed, of inarch",
    "inarch-core": "taken: a plugin called 'core' is installed, of inarch itself",
    "inarch-toy": "taken: inarch-toy 1.0 is installed",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_will_not_do_is_refused_in_one_line_and_nothing_is_written(name: str, inarch, tmp_path) -> None:
    answer = inarch("plugins", "new", "--domain", "timeseries", "--", name)
    assert answer.returncode == 2 and REFUSED[name] in answer.stderr and answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_not_touched(tmp_path: Path, inarch) -> None:
    (tmp_path / "inarch-seismic").mkdir()
    answer = inarch("plugins", "new", "inarch-seismic", "--domain", "timeseries")
    assert answer.returncode == 2 and "inarch-seismic exists; remove it" in answer.stderr
    assert [*tmp_path.rglob("*")] == [tmp_path / "inarch-seismic"]


@pytest.mark.parametrize("domain", ["", "two words", 'quo"te', "a/b", "7"])
def test_a_domain_is_one_word(domain: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="expected a word"):
        scaffold("inarch-seismic", domain, tmp_path)


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inarch", "plugins", "new", "inarch-seismic", "--domain", "timeseries"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))  # noqa: E731  (less than the licence)
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert answer.returncode == 2 and "inarch-seismic could not be written: File too large" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_cookiecutter_it_is_said_what_to_install(tmp_path: Path, inarch) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "cookiecutter.py").write_text("raise ImportError('none here')", encoding="utf-8")
    env = {"PYTHONPATH": str(tmp_path / "without")}
    answer = inarch("plugins", "new", "inarch-seismic", "--domain", "timeseries", env=env)
    assert answer.returncode == 2 and "Try: pip install 'inarch[scaffold]'" in answer.stderr


def test_nothing_is_left_in_the_home_folder(tmp_path: Path, inarch) -> None:
    (tmp_path / "home").mkdir()
    answer = inarch("plugins", "new", "inarch-seismic", "--domain", "timeseries", env={"HOME": str(tmp_path / "home")})
    assert answer.returncode == 0 and list((tmp_path / "home").iterdir()) == []


def test_the_wheel_ships_the_template_and_the_public_names(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    folder = ROOT / "core" / "inarch" / "templates" / "plugin"
    tracked = [file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert len(tracked) > 25
    assert {"inarch/__init__.pyi", *(str(file.relative_to(ROOT / "core")) for file in tracked)} <= shipped
