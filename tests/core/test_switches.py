"""Disabling and enabling plugins, and which of them a process may use."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from stranger import METRIC, command_line, write_plugin

from inarch import switches
from inarch.errors import PluginError

KILLER = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def site(install) -> Path:
    """Two plugins, of which one ends every process that imports it."""
    install("good", METRIC.format(name="goodness"))
    return install("killer", KILLER)


def shown(site: Path, **options) -> dict[str, dict]:
    return {p["name"]: p for p in json.loads(command_line(site, "plugins", "--json", **options).stdout)}


def test_a_disabled_plugin_is_not_imported_until_it_is_enabled(site: Path) -> None:
    assert command_line(site, "list").returncode == -9
    done = command_line(site, "plugins", "disable", "killer")
    path = site / "home" / "inarch" / "disabled-plugins"
    told = f"The plugin 'killer' is disabled by {path}. Back: inarch plugins enable killer\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")
    assert path.read_text() == "killer\n"
    assert command_line(site, "list").returncode == 0
    killer = shown(site)["killer"]
    assert killer["disabled"] == str(path) and killer["error"] is None and killer["milliseconds"] is None
    assert f"disabled by {path}\n  type: inarch plugins enable killer\n" in command_line(site, "plugins").stdout
    enabled = command_line(site, "plugins", "enable", "killer").stdout
    assert enabled == f"The plugin 'killer' is enabled; it was disabled by {path}.\n"
    assert command_line(site, "list").returncode == -9


def test_enabling_what_is_not_disabled_is_said(site: Path) -> None:
    assert command_line(site, "plugins", "enable", "good").stdout == "The plugin 'good' was not disabled.\n"


@pytest.mark.parametrize("verb", ["disable", "enable"])
def test_an_unknown_name_is_refused_with_the_nearest(verb: str, site: Path) -> None:
    done = command_line(site, "plugins", verb, "godo")
    assert done.returncode == 2 and done.stderr.startswith(
        "Error: unknown plugin 'godo'. Did you mean 'good'? Allowed: "
    )


def test_the_core_cannot_be_disabled(site: Path) -> None:
    assert "the core's own components cannot be disabled" in command_line(site, "plugins", "disable", "core").stderr


def test_a_recipe_that_names_a_component_of_a_disabled_plugin_says_what_to_type(install, toy_recipe: Path) -> None:
    site = install("good", METRIC.format(name="goodness"))
    command_line(site, "plugins", "disable", "good")
    done = command_line(site, "check", toy_recipe, "metrics=[goodness]")
    path = site / "home" / "inarch" / "disabled-plugins"
    told = f"Plugins that are disabled: plugin 'good' (inarch-good 1.0) by {path}, type: inarch plugins enable good."
    assert done.returncode == 2 and told in done.stderr and "unknown metric 'goodness'" in done.stderr


def test_a_plugin_is_disabled_for_everybody_in_an_environment(tmp_path: Path, site: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True)
    packages = next((tmp_path / "env" / "lib").iterdir()) / "site-packages"
    paths = [path for path in sys.path if path and Path(path).is_dir()]
    (packages / "all.pth").write_text("\n".join([sysconfig.get_path("purelib"), *paths]))
    python = tmp_path / "env" / "bin" / "python"

    def here(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": str(site), "XDG_CONFIG_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
        command = [str(python), "-m", "inarch", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    done = here("plugins", "disable", "killer", "--environment")
    path = tmp_path / "env" / "etc" / "inarch" / "disabled-plugins"
    assert str(path) in done.stdout and path.read_text() == "killer\n", done.stderr
    assert here("list").returncode == 0
    assert command_line(site, "list").returncode == -9  # another environment of the same user
    assert str(path) in here("plugins", "enable", "killer").stdout
    assert here("list").returncode == -9


def test_the_variable_allows_only_the_plugins_that_it_names(site: Path) -> None:
    found = shown(site, env={"INARCH_PLUGINS": "good,text"})
    assert [name for name, plugin in found.items() if not plugin["disabled"]] == ["core", "text", "good"]
    assert found["killer"]["disabled"] == "INARCH_PLUGINS=good,text"
    listed = command_line(site, "plugins", env={"INARCH_PLUGINS": ""}).stdout
    assert listed.count("disabled by INARCH_PLUGINS=\n") == 6 and "type: INARCH_PLUGINS=killer\n" in listed


def test_a_name_in_the_variable_that_no_plugin_has_is_told(site: Path) -> None:
    done = command_line(site, "list", env={"INARCH_PLUGINS": "godo"})
    assert done.returncode == 0
    assert done.stderr.startswith("INARCH_PLUGINS: unknown plugin 'godo'. Did you mean 'good'?")
    strict = command_line(site, "list", env={"INARCH_PLUGINS": "godo", "INARCH_STRICT_PLUGINS": "1"})
    assert strict.returncode == 2 and "Error: INARCH_PLUGINS: unknown plugin 'godo'" in strict.stderr


def test_a_plugin_that_is_disabled_and_not_allowed_says_both_when_it_is_enabled(site: Path) -> None:
    command_line(site, "plugins", "disable", "good")
    done = command_line(site, "plugins", "enable", "good", env={"INARCH_PLUGINS": "text"})
    assert "is enabled" in done.stdout and "To use it: INARCH_PLUGINS=text,good" in done.stdout


def test_a_plugin_that_was_uninstalled_can_be_enabled(site: Path, tmp_path: Path) -> None:
    command_line(site, "plugins", "disable", "good")
    other = write_plugin(tmp_path / "other", "else", METRIC.format(name="m"))
    done = command_line(other, "plugins", "enable", "good", home=site / "home")
    assert "The plugin 'good' is enabled" in done.stdout


def test_names_that_cannot_be_read_or_written_say_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "inarch" / "disabled-plugins"
    path.mkdir(parents=True)
    assert switches.disabled() == {}
    [told] = caplog.messages
    assert (
        told == f"{path}: the names of disabled plugins cannot be read: Is a directory; remove or mend it. All are used"
    )
    with pytest.raises(PluginError, match=f"{path}: the names of disabled plugins cannot be read"):
        switches.disable("mine", "user")
    path.rmdir()
    path.parent.rmdir()
    path.parent.touch()
    assert switches.disabled() == {}
    with pytest.raises(PluginError, match=f"{path}: the names of disabled plugins cannot be written"):
        switches.disable("mine", "user")


def test_no_file_is_left_beside_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("b", "a", "b"):
        switches.disable(name, "user")
    assert [file.read_text() for file in (tmp_path / "inarch").iterdir()] == ["a\nb\n"]
    assert switches.enable("b") and not switches.enable("b") and list(switches.disabled()) == ["a"]


def test_names_that_are_disabled_at_the_same_time_are_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    names = [f"plugin{number}" for number in range(60)]
    children = []
    for part in (names[::3], names[1::3], names[2::3]):
        if not (child := os.fork()):
            for name in part:
                switches.disable(name, "user")
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert sorted(switches.disabled()) == sorted(names)
