"""Each check of a plugin as such passes a good one, and catches what it is for."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inarch.guard import Plugin
from inarch.plugins import Plugins
from inarch.testing import plugins, probe
from inarch.testing.cases import PluginCase
from inarch.testing.check import Inapplicable, Violation

NAMES = [check.name for check in plugins.CHECKS]
CHECKS = {check.name: check for check in plugins.CHECKS}
GOOD = """\
from inarch import Register, hookimpl
def build(*, size: int = 1): "A thing."
@hookimpl
def register_datasets(register: Register) -> None:
    register("mine", build)
"""
RUN = "import click\n@click.command()\ndef run(): pass\n"
COMMAND = RUN + GOOD + "@hookimpl\ndef register_commands(cli):\n    cli.add_lazy('{}', 'mine:run', 'Do it.')\n"
METADATA = "License-Expression: MIT\nRequires-Dist: inarch>=0.1,<0.2\n"
REACH = "import socket\ntry:\n    socket.create_connection(('192.0.2.1', 80), 0.1)\nexcept OSError:\n    pass\n"

Case = Callable[..., PluginCase]


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Write a module as pip would install it; `load` it as a plugin where that does this process no harm."""
    written: list[str] = []

    def write(
        source: str, metadata: str = METADATA, requires: str | None = "inarch>=0.1,<0.2", load: bool = False
    ) -> PluginCase:
        name = f"inarch_mine_{abs(hash((source, metadata)))}"
        information = tmp_path / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}")
        (tmp_path / f"{name}.py").write_text(source.replace("mine:run", f"{name}:run"))
        monkeypatch.syspath_prepend(tmp_path)
        plugin = Plugin(name, name, name, "1.0", requires=requires)
        if load:
            Plugins().load(plugin)
        written.append(name)
        return PluginCase(plugin)

    yield write
    for name in written:
        sys.modules.pop(name, None)
    probe.effects.cache_clear()


@pytest.mark.parametrize("source", [GOOD, COMMAND.format("mine")])
def test_a_good_plugin_passes(case: Case, source: str) -> None:
    good = case(source, load=True)
    for name in NAMES:
        try:
            CHECKS[name](good)
        except Inapplicable as reason:
            assert name.startswith("commands_") and str(reason).startswith("it adds no command")


LAZY = GOOD + "@hookimpl\ndef register_commands(cli):\n    cli.add_lazy('mine', '{}', 'A line.')\n"
LOADED = ("can_be_loaded", "answers_a_hook", "hooks_are_marked")
INSERTED = "    for name in {'a', 'b', 'c', 'd'}:\n        register("
THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
FAULTS = {
    "can_be_loaded": "import nothing_of_this_name\n" + GOOD,
    "answers_a_hook": "from inarch import Register\n",
    "hooks_are_marked": GOOD + "def register_metrics(register): pass\n",
    "registers_the_same_in_every_process": GOOD.replace("    register(", INSERTED).replace('"mine"', "name"),
    "imports_no_heavy_library": "import numpy\n" + GOOD,
    "import_needs_no_network": REACH + GOOD,
    "import_prints_nothing": "print('hello')\n" + GOOD,
    "import_writes_no_file": "open('mine.log', 'a').close()\n" + GOOD,
    "import_starts_nothing": THREAD + GOOD,
    "import_keeps_the_working_directory": "import os\nos.chdir('/')\n" + GOOD,
    "import_keeps_the_environment": "import os\nos.environ['MINE'] = '1'\n" + GOOD,
    "import_seeds_nothing": "import random\nrandom.seed(0)\n" + GOOD,
    "import_keeps_warnings_and_logging": "import logging\nlogging.basicConfig()\n" + GOOD,
    "import_keeps_the_interpreter": "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)\n" + GOOD,
    "uses_public_names_only": "from inarch.errors import DataError\n" + GOOD,
    "commands_shadow_no_verb": COMMAND.format("train"),
    "commands_are_where_they_are_said_to_be": LAZY.format("inarch_mine:nothing"),
}  # fmt: skip
ALSO = {
    "a command that is none": ("commands_are_where_they_are_said_to_be", LAZY.format("os:getcwd")),
    "a child process": ("import_starts_nothing", "import os\nos.system('true')\n" + GOOD),
    "a filter of warnings": (
        "import_keeps_warnings_and_logging", "import warnings\nwarnings.simplefilter('ignore')\n" + GOOD),
    "numpy's seed": ("import_seeds_nothing", "import numpy\nnumpy.random.seed(0)\n" + GOOD),
    "standard error": ("import_prints_nothing", "import sys\nprint('hello', file=sys.stderr)\n" + GOOD),
    "an exit that no exception tells": ("import_prints_nothing", "import os\nos._exit(4)\n" + GOOD),
    "something heavy in a hook": (
        "imports_no_heavy_library", GOOD.replace("    register(", "    import numpy\n    register(")),
    "a private name by a module": ("uses_public_names_only", "import inarch\nschema = inarch.schema\n" + GOOD),
    "a private module by its name": (
        "uses_public_names_only", "from importlib import import_module\nimport_module('inarch.schema')\n" + GOOD),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_catches_what_it_is_for(case: Case, name: str) -> None:
    broken = case(FAULTS[name], load=name in LOADED)
    with pytest.raises(Violation) as caught:
        CHECKS[name](broken)
    assert caught.value.check.name == name


@pytest.mark.parametrize("fault", ALSO)
def test_a_check_catches_this_too(case: Case, fault: str) -> None:
    name, source = ALSO[fault]
    broken = case(source)
    with pytest.raises(Violation):
        CHECKS[name](broken)


@pytest.mark.parametrize("requires", [None, "inarch", "inarch>=0.1", "inarch<2"])
def test_a_distribution_says_from_which_inarch_to_which(case: Case, requires: str | None) -> None:
    with pytest.raises(Violation):
        CHECKS["distribution_states_its_inarch"](case(GOOD, requires=requires))


def test_a_distribution_says_its_licence(case: Case) -> None:
    with pytest.raises(Violation, match="License-Expression"):
        CHECKS["distribution_has_a_licence"](case(GOOD, "Summary: free\n"))
    CHECKS["distribution_has_a_licence"](case(GOOD, "Classifier: License :: OSI Approved :: MIT License\n"))


def test_there_is_a_fault_for_every_check() -> None:
    told = {"distribution_states_its_inarch", "distribution_has_a_licence"}
    assert set(FAULTS) | told == set(NAMES)


def test_a_file_that_is_gone_again_is_none(case: Case) -> None:
    probing = case("import tempfile\ntempfile.gettempdir()\n" + GOOD)
    CHECKS["import_writes_no_file"](probing)
