"""Commands that plugins add."""

import json

import pytest
from stranger import command_line

COMMAND = """
import click
from inarch import hookimpl
@click.command()
def hello():
    "Greet."
    {body}
@hookimpl
def register_commands(cli):
    cli.add_command(hello, "{name}")
"""
GREETS = COMMAND.replace("{body}", 'click.echo("hello from a plugin")')
LAZY = """
from inarch import hookimpl
@hookimpl
def register_commands(cli):
    cli.add_lazy("hello", "{address}", "Greet.")
"""


@pytest.mark.parametrize("how", ["added at once", "imported when used"])
def test_a_plugin_adds_a_command(how: str, install) -> None:
    lazy = LAZY.format(address="greeting:hello")
    site = install("mine", lazy if how == "imported when used" else GREETS.format(name="hello"))
    (site / "greeting.py").write_text("print('imported')\n" + GREETS.format(name="none"))
    done, page = command_line(site, "hello"), command_line(site, "--help")
    assert done.stdout == "hello from a plugin\n"
    assert "hello     Greet." in page.stdout
    assert ("imported" in done.stderr) == (how == "imported when used") and "imported" not in page.stderr
    assert "Did you mean 'hello'?" in command_line(site, "helo").stderr
    listed = {p["name"]: p for p in json.loads(command_line(site, "plugins", "--json").stdout)}
    assert listed["mine"]["registered"] == {"commands": ["hello"]}


def test_a_built_in_verb_imports_no_plugin_that_it_does_not_need(install) -> None:
    site = install("mine", "print('imported')")
    for arguments in (["train", "--help"], ["check", "--help"], ["show", "--help"], ["plugins", "disable", "mine"],
                      ["plugins", "enable", "mine"], ["cache"]):  # fmt: skip
        done = command_line(site, *arguments)
        assert done.returncode == 0 and "imported" not in done.stderr, arguments
    assert "imported" in command_line(site, "list").stderr


def test_a_plugin_cannot_replace_a_verb(install) -> None:
    site = install("mine", GREETS.format(name="list"))
    assert "hello" not in command_line(site, "list").stdout
    assert "broken: the command 'list' is taken: it is a verb of inarch's own" in command_line(site, "plugins").stdout


def test_of_two_commands_with_one_name_neither_is_used_and_both_plugins_are_named(install) -> None:
    install("one", GREETS.format(name="hello"))
    site = install("two", LAZY.format(address="inarch_one:hello"))
    done = command_line(site, "hello")
    told = (
        "the command 'hello' is added by two plugins: plugin 'one' (inarch-one 1.0) and plugin 'two' (inarch-two 1.0)"
    )
    remedy = "inarch plugins disable one, or: inarch plugins disable two"
    assert done.returncode == 2 and done.stderr == f"Error: {told}; type: {remedy}\n"
    listed = {p["name"]: p for p in json.loads(command_line(site, "plugins", "--json").stdout)}
    assert listed["one"]["error"] == listed["two"]["error"] == told
    command_line(site, "plugins", "disable", "one")
    assert command_line(site, "hello").stdout == "hello from a plugin\n"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nowhere_at_all:hello", "importing the command 'hello' failed: ModuleNotFoundError"),
        ("inarch_mine:hello", "importing the command 'hello' failed: AttributeError"),
        ("inarch_mine:hookimpl", "expected a function under @click.command()"),
    ],
)
def test_a_command_that_is_not_where_it_should_be_names_the_plugin_when_it_is_used(address, reason, install) -> None:
    site = install("mine", LAZY.format(address=address))
    assert command_line(site, "--help").returncode == 0
    done = command_line(site, "hello")
    assert done.returncode == 2 and reason in done.stderr and "Traceback" not in done.stderr


def test_an_address_that_is_none_is_refused_when_it_is_registered(install) -> None:
    site = install("mine", LAZY.format(address="hello"))
    assert "add_lazy('hello'): expected 'module:attribute', found 'hello'" in command_line(site, "plugins").stdout


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        (
            "raise KeyError('x')",
            2,
            "Error: plugin 'mine' (inarch-mine 1.0): the command 'hello' failed: KeyError: 'x'\n",
        ),
        ("raise click.UsageError('use it well')", 2, "Error: use it well\n"),
        ("raise SystemExit(3)", 3, ""),
        ("click.get_current_context().exit(4)", 4, ""),
    ],
)
def test_what_a_command_fails_with_names_the_plugin_and_what_it_ends_with_is_kept(body, code, told, install) -> None:
    done = command_line(install("mine", COMMAND.format(name="hello", body=body)), "hello")
    assert (done.returncode, done.stderr) == (code, told)
