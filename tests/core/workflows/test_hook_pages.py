"""The pages of the hooks say what the specifications say, and their examples are right."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from inarch import hookimpl, hookspecs
from inarch.cli.lazy import Commands
from inarch.plugins import Plugin, Plugins, loaded
from inarch.specification import specifications
from inarch.workflows.hook_pages import document, items, page, read
from inarch.workflows.scaffold import scaffold

DOCS = Path(__file__).parents[3] / "docs"
HOOKS = specifications(hookspecs)


def test_the_page_in_the_documentation_is_the_one_that_is_made(inarch) -> None:
    written = (DOCS / "hooks.md").read_text(encoding="utf-8")
    assert written == document() == inarch("plugins", "hooks").stdout


def test_the_page_of_one_hook_is_part_of_it(inarch) -> None:
    printed = inarch("plugins", "hooks", "on_train_end").stdout
    assert printed == page("on_train_end") and printed in document()


def test_a_misspelt_hook_is_answered_with_the_nearest(inarch) -> None:
    answer = inarch("plugins", "hooks", "register_backbone")
    assert answer.returncode == 2 and "Did you mean 'register_backbones'?" in answer.stderr


@pytest.mark.parametrize("name", HOOKS)
def test_a_page_explains_every_argument_and_every_fact(name: str) -> None:
    _, sections = read(HOOKS[name])
    assert list(items(sections["Arguments"])) == list(inspect.signature(HOOKS[name]).parameters)
    kind = name.removeprefix("register_")
    if kind in loaded().components:
        facts = next(iter(loaded().components[kind].values())).facts
        assert set(items(sections["Facts"])) == set(facts)


@pytest.fixture(scope="module")
def seismic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A module with what the examples speak of: the package that the scaffold writes."""
    folder = scaffold("inarch-seismic", "timeseries", tmp_path_factory.mktemp("scaffold")) / "src"
    sys.path.insert(0, str(folder))
    try:
        from inarch_seismic import builders, targets
    finally:
        sys.path.remove(str(folder))
    module = ModuleType("example")
    vars(module).update(hookimpl=hookimpl, builders=builders, targets=targets)
    yield module
    for name in [name for name in sys.modules if name.partition(".")[0] == "inarch_seismic"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", [name for name in HOOKS if name.startswith("register_")])
def test_the_example_of_a_registering_hook_registers(name: str, seismic: ModuleType) -> None:
    module = ModuleType("example")
    vars(module).update(vars(seismic))
    exec(read(HOOKS[name])[1]["Example"], vars(module))
    if name == "register_commands":
        commands = Commands()
        module.register_commands(commands)
        assert list(commands.places) == ["seismic-fetch"]
        return
    plugins = Plugins()
    plugins.add(Plugin("example", "example", "inarch-example", "1.0"), module)
    assert [entry.startswith("seismic_") for entry in plugins.components[name.removeprefix("register_")]] == [True]


def test_the_examples_of_the_life_of_a_run_can_be_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = ModuleType("example")
    vars(module).update(hookimpl=hookimpl)
    names = [name for name in HOOKS if name.startswith("on_")]
    for name in names:
        exec(read(HOOKS[name])[1]["Example"], vars(module))
    Plugins().add(Plugin("example", "example", "inarch-example", "1.0"), module)
    run = SimpleNamespace(directory=tmp_path, recipe=SimpleNamespace(name="waves"))
    module.on_train_begin(run)
    module.on_epoch_end(run, 1, {"loss": 0.5})
    module.on_train_end(run, {"accuracy": 0.9})
    assert "training waves" in capsys.readouterr().out and names == ["on_train_begin", "on_epoch_end", "on_train_end"]
    assert (tmp_path / "progress.txt").read_text(encoding="utf-8") == "epoch 1: {'loss': 0.5}"
