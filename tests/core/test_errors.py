"""What an error message may quote, and how plugins are named in it."""

import pytest

from inarch import InarchError, PluginError, RecipeError
from inarch.errors import LONGEST
from inarch.guard import Plugin, guarded, named

PLUGIN = Plugin("mine", "mine", "mine-dist", "3")


@pytest.mark.parametrize(
    ("raw", "told"),
    [("a\x1b[2Jb", r"a\x1b[2Jb"), ("a\nError: b", r"a\nError: b"), ("\udcff", r"\udcff"), ("\u202e", r"\u202e"),
     ("ünï 日本", "ünï 日本")],
)  # fmt: skip
def test_a_message_is_one_line_that_steers_no_terminal(raw: str, told: str) -> None:
    assert str(RecipeError(raw)) == told
    assert str(RecipeError(f"twice: {RecipeError(raw)}")) == f"twice: {told}"


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    told = str(InarchError("begin" + "x" * 10**6 + "end"))
    assert told.startswith("begin") and told.endswith("end") and "characters]" in told
    assert len(told) < LONGEST + 100


@pytest.mark.parametrize("error", [ZeroDivisionError("by accident"), SystemExit(0), RecursionError()])
def test_what_a_plugin_raises_has_its_name(error: BaseException) -> None:
    said = rf"plugin 'mine' \(mine-dist 3\): a hook failed: {type(error).__name__}"
    with pytest.raises(PluginError, match=said), named(PLUGIN, "a hook"):
        raise error


def test_what_a_plugin_is_meant_to_raise_passes() -> None:
    def refuse(raw: object) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"\Ano\Z"):
        guarded(PLUGIN, "verify", refuse)(1)
    with pytest.raises(KeyboardInterrupt), named(PLUGIN, "a hook"):
        raise KeyboardInterrupt
