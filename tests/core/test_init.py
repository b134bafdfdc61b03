"""The public door: its names are listed once, all of them are there, and the documentation tells of each."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import inarch

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", inarch.__all__)
def test_a_name_behind_the_door_is_there(name: str) -> None:
    assert getattr(inarch, name).__module__.startswith(("inarch", "pluggy", "collections"))


def test_the_door_has_names() -> None:
    assert {"Backbone", "Head", "Dataset", "Strategy", "Trial", "hookimpl", "train"} <= set(inarch.__all__)
    assert dir(inarch) == sorted(inarch.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'|inarch attribute nothing"):
        inarch.nothing  # noqa: B018


def test_the_door_imports_nothing_until_a_name_is_used() -> None:
    told = "import sys, inarch; print([name for name in sys.modules if name.startswith('inarch.') or name == 'torch'])"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_page_for_writers_of_plugins_tells_of_every_name() -> None:
    section = (DOCS / "plugins.md").read_text(encoding="utf-8").split("## Public names", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(inarch.__all__)
