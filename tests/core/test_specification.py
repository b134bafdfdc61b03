"""Hooks that come and go: warnings, refusals and pages, tried on specifications of a module made here."""

import warnings
from types import ModuleType

import pytest
from packaging.version import Version

import inarch
from inarch import hookspecs
from inarch.discovery import version
from inarch.errors import PluginError
from inarch.plugins import Plugin, Plugins
from inarch.specification import Life, hookspec, lives, specifications
from inarch.workflows.hook_pages import page

LATER, EARLIER = "99.0", "0.0.1"


@hookspec(since="0.1", deprecated="0.2", removed=LATER, instead="answer on_train_end")
def on_stop(reason: str) -> None:
    """A training ends.

    Called:
        once

    Arguments:
        reason: why

    Example:
        def on_stop(reason): ...
    """


@hookspec(since="0.1", removed=EARLIER, instead="answer on_train_end")
def on_halt() -> None:
    """Nothing calls this any more."""


@hookspec(
    since="0.1",
    arguments={
        "seconds": Life(since="0.2"),
        "minutes": Life(since="0.1", deprecated="0.2", removed=LATER, instead="take seconds"),
        "hours": Life(since="0.1", removed=EARLIER, instead="take seconds"),
    },
)
def on_pause(reason: str, minutes: float, seconds: float) -> None:
    """A training pauses.

    Called:
        when it does

    Arguments:
        reason: why
        minutes: how long
        seconds: how long

    Example:
        def on_pause(reason): ...
    """


@pytest.fixture
def specs() -> ModuleType:
    module = ModuleType("specs")
    for spec in (on_stop, on_halt, on_pause):
        setattr(module, spec.__name__, spec)
    return module


def answered(specs: ModuleType, source: str) -> Plugins:
    """Return plugins with one that answers a hook of `specs`."""
    plugins, module = Plugins(specs), ModuleType("answering")
    exec(f"from inarch import hookimpl\n@hookimpl\ndef {source}: return 'called'", vars(module))
    plugins.add(Plugin("answering", "answering", "inarch-answering", "1.0"), module)
    return plugins


def test_a_plugin_that_answers_a_deprecated_hook_is_warned_and_told_what_to_do(specs: ModuleType) -> None:
    told = r"the hook on_stop is deprecated since inarch 0\.2, removed in inarch 99\.0; answer on_train_end"
    with pytest.warns(DeprecationWarning, match=told):
        plugins = answered(specs, "on_stop(reason)")
    assert plugins.manager.hook.on_stop(reason="done") == ["called"]


def test_a_deprecated_argument_warns_those_that_ask_for_it_and_no_others(specs: ModuleType) -> None:
    with pytest.warns(DeprecationWarning, match="the argument 'minutes' of on_pause is deprecated since inarch 0.2"):
        answered(specs, "on_pause(minutes)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert answered(specs, "on_pause(reason, seconds)").known["answering"].hooks == ["on_pause"]


def test_a_hook_that_is_removed_is_refused_with_what_to_write_instead(specs: ModuleType) -> None:
    with pytest.raises(PluginError, match=r"the hook on_halt is removed in inarch 0\.0\.1; answer on_train_end"):
        answered(specs, "on_halt()")


def test_an_argument_that_is_removed_is_refused_with_what_to_write_instead(specs: ModuleType) -> None:
    with pytest.raises(PluginError, match=r"'hours' of on_pause is removed in inarch 0\.0\.1; take seconds"):
        answered(specs, "on_pause(hours)")


def test_a_removal_counts_from_its_version_on_also_in_what_comes_before_its_release() -> None:
    life = Life(since="0.1", deprecated="0.4", removed="0.10")
    assert [life.ended(at) for at in ("0.9", "0.9.9", "0.10.dev1", "0.10", "0.10.0", "1.0")] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]


def test_the_page_of_a_hook_says_how_it_and_its_arguments_come_and_go(specs: ModuleType) -> None:
    told = "Since inarch 0.1. `on_stop` is deprecated since inarch 0.2, removed in inarch 99.0; answer on_train_end."
    assert told in page("on_stop", specs)
    assert "`seconds`: since inarch 0.2.\n" in page("on_pause", specs)
    assert "`minutes` is deprecated since inarch 0.2, removed in inarch 99.0; take seconds." in page("on_pause", specs)


def test_every_hook_was_there_before_it_was_deprecated_and_was_deprecated_before_it_was_removed() -> None:
    known = specifications(hookspecs)
    assert len(known) == 9
    for hook in known.values():
        life, arguments = lives(hook)
        for its in (life, *arguments.values()):
            steps = [Version(at) for at in (its.since, its.deprecated, its.removed) if at]
            assert steps == sorted(set(steps)) and steps[0] <= Version(version())
            assert bool(its.instead) == (len(steps) > 1)


def test_a_hookimpl_is_what_plugins_import() -> None:
    assert inarch.hookimpl is hookspecs.hookimpl
