"""The kit as pytest runs it: by its option, and as classes of tests."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch  # noqa: F401  (before pytests inside this one: what they import is forgotten after each)

import inarch.testing.strategies  # noqa: F401
from inarch import Trial, plugins
from inarch.errors import PluginError
from inarch.guard import Plugin
from inarch.testing.cases import find_entry, find_plugin
from inarch.testing.catalogue import cases_of, checks_of
from inarch.testing.check import Violation

pytest_plugins = ["pytester"]

SOURCE = '''
from inarch import Register, Trial, hookimpl


def steady(*, size: int = 1):
    """Return what is no strategy."""


@hookimpl
def register_strategies(register: Register) -> None:
    register("steady", steady, trial=lambda: TRIAL)
'''

Kit = Callable[..., pytest.RunResult]


@pytest.fixture
def kit(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    """Run pytest in a folder of its own, in this process, where a plugin called `kit` is registered."""

    def run(
        *arguments: str, trial: str = "Trial()", source: str = SOURCE, files: dict[str, str] | None = None
    ) -> pytest.RunResult:
        for name, text in (files or {}).items():
            (pytester.path / name).write_text(text)
        (pytester.path / "inarch_kit.py").write_text(source.replace("TRIAL", trial))
        pytester.syspathinsert()
        information = pytester.path / "inarch_kit-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.4\nName: inarch-kit\nVersion: 1.0\n")
        plugin = plugins.loaded().known.setdefault("kit", Plugin("kit", "inarch_kit", "inarch-kit", "1.0"))
        if not plugin.disabled:
            plugins.loaded().load(plugin)
        return pytester.runpytest_inprocess("-p", "inarch", "-p", "no:cacheprovider", "-q", *arguments)

    yield run
    plugins.loaded().remove("kit")
    sys.modules.pop("inarch_kit", None)


FEW = ("-k", "can_be_tried or says_what_it_is or has_a_licence")
ANOTHER = {"test_other.py": "def test_another(): pass\n"}


def test_a_failure_tells_contract_and_what_was_seen_and_no_frame_of_the_kit(kit: Kit) -> None:
    done = kit("--inarch-plugin", "kit", *FEW)
    assert done.ret == 1, done.stdout.str()
    assert "1 failed, 2 passed" in done.stdout.str()
    assert "FAILED kit::plugin kit: distribution_has_a_licence" in done.stdout.str()
    assert "the metadata of inarch-kit has no License-Expression" in done.stdout.str()
    assert "contract: A plugin's distribution says under which licence it may be used." in done.stdout.str()
    assert "written in: " in done.stdout.str() and "broken by: plugin 'kit' (inarch-kit 1.0)" in done.stdout.str()
    assert "inarch/testing" not in done.stdout.str() and "Traceback" not in done.stdout.str()


def test_without_paths_the_kit_runs_alone(kit: Kit) -> None:
    done = kit("--inarch-plugin", "kit", "--collect-only", files=ANOTHER)
    assert "kit::strategy steady: can_be_tried" in done.stdout.str().splitlines()
    assert "test_other" not in done.stdout.str()


@pytest.mark.parametrize("name", ["vision", "inarch_vision", "INARCH-VISION"])
def test_a_plugin_is_known_by_name_and_module(name: str) -> None:
    assert find_plugin(name).name == "vision"


def test_a_distribution_of_several_plugins_asks_for_one_of_them() -> None:
    with pytest.raises(PluginError, match="several plugins"):
        find_plugin("inarch")


def test_with_paths_or_in_addopts_the_kit_runs_beside_the_tests(kit: Kit) -> None:
    options = "[pytest]\naddopts = --inarch-plugin kit\n"
    done = kit("--collect-only", files={**ANOTHER, "pytest.ini": options})
    assert (
        "kit::strategy steady: can_be_tried" in done.stdout.str() and "test_other.py::test_another" in done.stdout.str()
    )


def test_without_the_option_pytest_is_as_it_was(pytester: pytest.Pytester) -> None:
    light = "import sys\ndef test_light(): assert not {'torch', 'numpy', 'inarch.plugins'} & set(sys.modules)\n"
    pytester.makepyfile(light)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize("name, told", [("kitt", "Did you mean 'kit'?"), ("nothing", "Is it installed here")])
def test_a_plugin_that_is_not_installed_is_told_with_the_nearest(kit: Kit, name: str, told: str) -> None:
    done = kit("--inarch-plugin", name)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert told in done.stderr.str() and "Traceback" not in done.stderr.str() + done.stdout.str()


def test_a_broken_plugin_fails_a_check_with_the_reason(kit: Kit) -> None:
    done = kit("--inarch-plugin", "kit", "-k", "can_be_loaded", source="import nothing_of_this_name\n")
    assert "1 failed" in done.stdout.str() and "No module named 'nothing_of_this_name'" in done.stdout.str()


def test_a_plugin_that_registers_nothing_fails_a_check(kit: Kit) -> None:
    done = kit("--inarch-plugin", "kit", "-k", "answers_a_hook", source="import inarch\n")
    assert "1 failed" in done.stdout.str() and "is @inarch.hookimpl missing?" in done.stdout.str()


def test_a_disabled_plugin_is_told(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INARCH_PLUGINS", "vision")
    known = plugins.loaded().known
    known["kit"] = Plugin("kit", "inarch_kit", "inarch-kit", "1.0", disabled="INARCH_PLUGINS=vision")
    done = kit("--inarch-plugin", "kit")
    assert done.ret == pytest.ExitCode.USAGE_ERROR and "INARCH_PLUGINS=vision,kit" in done.stderr.str()


def test_a_trial_says_what_is_known_to_fail_and_no_more(kit: Kit) -> None:
    trial = 'Trial(expected_failed_checks={"says_what_it_is": "it does say", "can_be_tried": "never"})'
    done = kit("--inarch-plugin", "kit", "-k", "steady and says", trial=trial)
    assert "1 failed" in done.stdout.str() and "[XPASS(strict)] it does say" in done.stdout.str()


def test_what_is_known_to_fail_has_the_name_of_a_check(kit: Kit) -> None:
    done = kit("--inarch-plugin", "kit", trial='Trial(expected_failed_checks={"can_be_tryed": "never"})')
    assert "unknown check 'can_be_tryed'. Did you mean 'can_be_tried'?" in done.stdout.str()
    assert done.ret == pytest.ExitCode.INTERRUPTED and "testing/catalogue.py" not in done.stdout.str()


@pytest.mark.parametrize("trial, told", [
    (3, "expected an inarch.Trial or a list of them, found 3"),
    ([], "expected an inarch.Trial or a list of them"),
    ([Trial(name="a"), Trial(name="a")], "each needs a name of its own"),
])  # fmt: skip
def test_what_is_no_trial_is_told(trial: Any, told: str) -> None:
    with pytest.raises(PluginError, match=told):
        cases_of(find_entry("strategies", "full"), trial)


def test_trials_without_names_are_numbered() -> None:
    labels = [case.label for case in cases_of(find_entry("strategies", "full"), [Trial(), Trial(name="slow")])]
    assert labels == ["strategy full (1)", "strategy full (slow)"]


def test_an_option_that_the_builder_has_not_is_told() -> None:
    [case] = cases_of(find_entry("strategies", "full"), Trial(options={"layer_decya": 1}))
    with pytest.raises(Violation, match="Did you mean 'layer_decay'"):
        checks_of("strategies")[0](case)


CLASSES = """
from inarch import Trial
from inarch.testing import PluginConformance, StrategyConformance

class TestSteady(StrategyConformance):
    component = "steady"
    trial = Trial(options={"size": 2})
    expected_failed_checks = {"says_what_it_is": "it does say"}

class TestKit(PluginConformance):
    plugin = "kit"
    expected_failed_checks = {"distribution_has_a_licence": "nobody asked"}
"""


def test_classes_run_the_same_checks(kit: Kit) -> None:
    done = kit(*FEW, files={"test_kit.py": CLASSES})
    assert "1 failed, 1 passed" in done.stdout.str() and "1 xfailed" in done.stdout.str()
    assert "FAILED test_kit.py::TestSteady::test_says_what_it_is[strategy steady]" in done.stdout.str()


def test_a_class_that_names_nothing_says_what_to_write(kit: Kit) -> None:
    source = "from inarch.testing import HeadConformance\nclass TestHead(HeadConformance): pass\n"
    done = kit(files={"test_kit.py": source})
    assert "TestHead: say which: component = NAME, or plugin = NAME" in done.stdout.str()
