"""The page of hooks and the README's table say the same, and each hook is called."""

import inspect
import re
from pathlib import Path

import inarch_toy
import pytest

import inarch
from inarch import hookspecs
from inarch.builtin import heads, metrics, strategies
from inarch.builtin.targets import read_classes
from inarch.hookspecs import Register, hookimpl
from inarch.plugins import Plugin, loaded

TESTS = Path(__file__).parents[1]
README = TESTS.parent / "README.md"
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


class Offering:
    """A plugin that offers one component a hook, all of them made of what there is already."""

    @hookimpl
    def register_backbones(self, register: Register) -> None:
        register("own_backbone", inarch_toy.vectors, domain="vector")

    @hookimpl
    def register_heads(self, register: Register) -> None:
        register("own_head", heads.classifier, read=read_classes)

    @hookimpl
    def register_datasets(self, register: Register) -> None:
        def own_dataset(*, rows: int = 40) -> inarch.Dataset:
            column = [f"{row % 2} {row} 0 1" for row in range(rows)]
            split = inarch.Rows({"vector": column, "class": [text[0] for text in column]})
            return inarch.Dataset({"train": split}, "vector", "class")

        register("own_dataset", own_dataset)

    @hookimpl
    def register_metrics(self, register: Register) -> None:
        register("own_metric", metrics.accuracy, kinds=("classes",))

    @hookimpl
    def register_strategies(self, register: Register) -> None:
        register("own_strategy", strategies.full)


def test_a_recipe_can_be_made_of_what_a_plugin_registers_by_every_hook(tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    recipe.write_text(
        "dataset: own_dataset\nbackbone: {name: own_backbone, width: 3}\nhead: own_head\nstrategy: own_strategy\n"
        "metrics: [own_metric]\nsplits: {valid: 0.2}\ntrain: {epochs: 1, workers: 0}\n",
        encoding="utf-8",
    )
    loaded().add(Plugin("offering", "tests", "tests", "1"), Offering())
    try:
        assert set(inarch.train(recipe, out=tmp_path / "run").metrics) == {"own_metric"}
    finally:
        loaded().remove("offering")


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_answered_in_some_test(name: str) -> None:
    files = [file for file in TESTS.rglob("test_*.py") if file.name != "test_hook_pages.py"]
    assert len(files) > 50
    answering = [file for file in files if re.search(rf"def {name}\(", file.read_text(encoding="utf-8"))]
    assert answering, f"no test has a plugin that answers {name}"
