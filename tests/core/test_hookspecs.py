"""The page of hooks and the README's table say the same, and each hook is called."""

import inspect
import re
from pathlib import Path

import inarch
from inarch import hookspecs
from inarch.hookspecs import hookimpl
from inarch.plugins import Plugin, loaded

README = Path(__file__).parents[2] / "README.md"
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "inarch_spec")}


def test_the_readme_has_a_row_for_every_hook_with_its_signature() -> None:
    section = README.read_text(encoding="utf-8").split("## Hooks", 1)[1].split("\n## ", 1)[0]
    written = re.findall(r"^\| `(\w+\([^)]*\))`", section, flags=re.MULTILINE)
    assert written == [f"{name}({', '.join(inspect.signature(hook).parameters)})" for name, hook in HOOKS.items()]


def test_every_hook_is_called_in_a_training_or_at_the_command_line(toy_recipe: Path, tmp_path: Path) -> None:
    called: list[str] = []

    class Listener:
        """A plugin that notes its calls."""

    for name, hook in HOOKS.items():
        arguments = ", ".join(inspect.signature(hook).parameters)
        space = {"called": called}
        exec(f"def {name}({arguments}): called.append('{name}')", space)
        setattr(Listener, name, staticmethod(hookimpl(space[name])))
    plugins = loaded()
    plugins.add(Plugin("listener", "tests", "tests", "1"), Listener)
    try:
        from inarch.cli.extra import commands

        commands(())
        inarch.train(toy_recipe, {"train.epochs": 1}, out=tmp_path / "run")
    finally:
        plugins.remove("listener")
    assert set(called) == set(HOOKS)
    assert [name for name in called if name.startswith("on_")] == ["on_train_begin", "on_epoch_end", "on_train_end"]
