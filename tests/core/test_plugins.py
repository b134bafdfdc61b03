"""Plugins that are broken, in conflict, or in order: as `inarch plugins` and recipes meet them."""

import json
from pathlib import Path

import pytest
from conftest import TOY

REGISTERS = """
from inarch import hookimpl
def build(targets, *, size: int = 1): "A thing."
@hookimpl
def register_metrics(register):
    register("{name}", build)
"""

BROKEN = {
    "an import that fails": ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    "an exit at import": ("raise SystemExit('bye')", "SystemExit: bye"),
    "a syntax error": ("def (", "SyntaxError"),
    "a hook with a default": (
        "from inarch import hookimpl\n@hookimpl\ndef on_train_begin(run=None): pass",
        "must not have defaults",
    ),
    "an unknown hook": (
        "from inarch import hookimpl\n@hookimpl\ndef on_train_beginn(run): pass",
        "Did you mean 'on_train_begin'?",
    ),
    "an unknown argument": ("from inarch import hookimpl\n@hookimpl\ndef on_train_begin(job): pass", "job"),
    "an option without a type": (
        "from inarch import hookimpl\ndef build(targets, num_features, *, size): pass\n"
        "@hookimpl\ndef register_heads(register): register('h', build)",
        "no annotation",
    ),
    "an unknown fact": (REGISTERS.format(name="m").replace("build)", "build, kind=1)"), "Did you mean 'kinds'?"),
    "a name of the core": (REGISTERS.format(name="accuracy"), "plugin 'core' (inarch"),
    "half a registration": (REGISTERS.format(name="m") + "    raise ValueError('half')", "ValueError: half"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_shown_with_its_reason_and_registers_nothing(case: str, inarch, install) -> None:
    source, reason = BROKEN[case]
    env = {"PYTHONPATH": str(install("mine", source))}
    plugin = {p["name"]: p for p in json.loads(inarch("plugins", "--json", env=env).stdout)}["mine"]
    assert reason in plugin["error"]
    assert plugin["registered"] == {}
    text = inarch("plugins", env=env)
    assert text.returncode == 0 and "broken: " in text.stdout and "Traceback" not in text.stdout
    assert inarch("--help", env=env).returncode == 0
    assert inarch("list", env=env).returncode == 0


def test_a_recipe_that_names_a_component_of_a_broken_plugin_stops_with_the_reason(
    toy_recipe: Path, refused, install
) -> None:
    site = install("mine", "import nothing_of_this_name")
    message = refused("check", toy_recipe, "backbone=mine", path=site)
    assert "inarch-mine 1.0" in message and "nothing_of_this_name" in message


def test_a_recipe_that_does_not_need_a_broken_plugin_is_checked(toy_recipe: Path, inarch, install) -> None:
    site = install("mine", "import nothing_of_this_name")
    assert inarch("check", toy_recipe, env={"PYTHONPATH": f"{site}:{TOY}"}).returncode == 0


def test_a_component_name_taken_twice_names_both_distributions(inarch, install) -> None:
    install("one", REGISTERS.format(name="same"))
    site = install("two", REGISTERS.format(name="same"))
    found = inarch("plugins", env={"PYTHONPATH": str(site)}).stdout
    assert "'same' is registered twice" in found and "inarch-one 1.0" in found and "inarch-two 1.0" in found


def test_a_plugin_name_taken_twice_names_both_distributions_and_uses_neither(inarch, install) -> None:
    install("same", REGISTERS.format(name="of_one"), "one")
    site = install("same", REGISTERS.format(name="of_two"), "two")
    known = {p["name"]: p for p in json.loads(inarch("plugins", "--json", env={"PYTHONPATH": str(site)}).stdout)}
    assert "one 1.0" in known["same"]["error"] and "two 1.0" in known["same"]["error"]
    listed = inarch("list", "metrics", env={"PYTHONPATH": str(site)}).stdout
    assert "of_one" not in listed and "of_two" not in listed


def test_a_plugin_called_core_does_not_harm_the_core(inarch, install, toy_recipe: Path) -> None:
    site = install("core", REGISTERS.format(name="mine"), "evil")
    found = inarch("plugins", env={"PYTHONPATH": f"{site}:{TOY}"})
    assert "two plugins are called 'core'" in found.stdout
    assert inarch("check", toy_recipe, env={"PYTHONPATH": f"{site}:{TOY}"}).returncode == 0


COMMAND = """
import click
from inarch import hookimpl
@click.command()
def hello():
    "Greet."
    click.echo("hello from a plugin")
@hookimpl
def register_commands(cli):
    cli.add_command(hello, "{name}")
"""


def test_a_plugin_adds_a_command(inarch, install) -> None:
    env = {"PYTHONPATH": str(install("mine", COMMAND.format(name="hello")))}
    assert inarch("hello", env=env).stdout == "hello from a plugin\n"
    assert "Greet." in inarch("--help", env=env).stdout
    assert "Did you mean 'hello'?" in inarch("helo", env=env).stderr


def test_a_plugin_cannot_replace_a_verb(inarch, install) -> None:
    env = {"PYTHONPATH": str(install("mine", COMMAND.format(name="list")))}
    assert "hello" not in inarch("list", env=env).stdout
    assert "the command 'list' is taken" in inarch("plugins", env=env).stdout


def test_a_plugin_whose_commands_fail_does_not_break_the_help(inarch, install) -> None:
    env = {"PYTHONPATH": str(install("mine", COMMAND.format(name="x") + "    raise ValueError('oops')"))}
    assert inarch("--help", env=env).returncode == 0
    assert "oops" in inarch("plugins", env=env).stdout
