"""Imports that hang, exit or crash."""

import multiprocessing
import os
import subprocess
import sys
import time

import pytest
from stranger import METRIC, command_line

from inarch import importing
from inarch.cli.survey import survey
from inarch.guard import Plugin
from inarch.importing import contained, import_object

MINE = Plugin("mine", "mine", "inarch-mine", "1.0")


def test_an_import_that_takes_long_says_who_is_waited_for_and_what_to_type(monkeypatch, capsys) -> None:
    monkeypatch.setattr(importing, "PATIENCE", 0.05)
    with contained(MINE):
        assert capsys.readouterr().err == ""
        time.sleep(0.5)
    said = capsys.readouterr().err
    assert said.startswith("Still importing plugin 'mine' (inarch-mine 1.0) after ")
    assert "inarch plugins disable mine" in said and "INARCH_PLUGINS" in said and said.count("Still") == 1


def test_an_import_that_does_not_take_long_says_nothing(monkeypatch, capsys) -> None:
    monkeypatch.setattr(importing, "PATIENCE", 0.3)
    with contained(MINE):
        pass
    time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_a_hard_exit_is_caught_while_a_plugin_is_imported_and_only_then() -> None:
    program = (
        "import os\nfrom inarch.guard import Plugin\nfrom inarch.importing import contained\n"
        "try:\n    with contained(Plugin('m', 'm', 'd', '1')):\n        kept = os._exit\n        kept(3)\n"
        "except SystemExit as end:\n    print(end, flush=True)\nkept(4)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (4, "os._exit(3)\n", "")


def _nothing() -> None:
    os._exit(5)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # which is why plugins should not
def test_a_process_that_a_plugin_forks_ends_as_it_wants_to() -> None:
    with contained(MINE):
        child = multiprocessing.get_context("fork").Process(target=_nothing)
        child.start()
        child.join()
    assert child.exitcode == 5


def test_an_address_is_a_module_or_an_attribute_of_one() -> None:
    assert import_object("inarch.importing") is importing
    assert import_object("inarch.guard:Plugin.label") is Plugin.label


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import time; time.sleep(60)", "importing it hangs: it had not ended after 2 s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "importing it crashes the process: SIGSEGV"),
        ("import ctypes; ctypes.CDLL(None).exit(7)", "importing it ends the process, with exit code 7"),
        (
            "from inarch import hookimpl\n@hookimpl\ndef register_commands(cli):\n    while True: pass",
            "importing it hangs: it had not ended after 2 s",
        ),
    ],
)
def test_the_list_survives_what_ends_or_holds_a_process(source: str, reason: str, install, monkeypatch) -> None:
    install("good", METRIC.format(name="goodness"))
    monkeypatch.syspath_prepend(str(install("mine", source)))
    known = {plugin.name: plugin for plugin in survey(limit=2)}
    assert known["mine"].error == reason and known["mine"].advice == "inarch plugins disable mine"
    assert known["good"].registered == {"metrics": ["goodness"]} and known["vision"].error is None


def test_a_crash_at_import_shows_in_whose_file_it_was(install) -> None:
    site = install("mine", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    done = command_line(site, "list")
    assert done.returncode == -11 and 'inarch_mine.py", line 2 in <module>' in done.stderr
