"""The public door."""

import ast
from pathlib import Path

import pytest

import inarch


def test_the_names_for_people_and_for_type_checkers_agree() -> None:
    tree = ast.parse(Path(inarch.__file__).read_text(encoding="utf-8"))
    imports = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module.startswith("inarch.")
    ]
    assert {alias.asname: node.module for node in imports for alias in node.names} == inarch._HOME
    assert inarch.__all__ == sorted(inarch._HOME)


@pytest.mark.parametrize("name", inarch.__all__)
def test_a_name_behind_the_door_is_there(name: str) -> None:
    assert getattr(inarch, name).__module__.startswith(("inarch", "pluggy", "collections"))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        inarch.nothing  # noqa: B018
