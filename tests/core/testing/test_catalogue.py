"""All checks of the kit: their names, their contracts, and where these are written."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import inarch
from inarch.plugins import KINDS
from inarch.testing.catalogue import checks_of
from inarch.testing.check import Check

ROOT = Path(__file__).parents[3]
ALL = {check.name + " of " + kind: check for kind in ("plugins", *KINDS) for check in checks_of(kind)}


def test_there_are_as_many_as_were_promised() -> None:
    assert len({check.function for check in ALL.values()}) >= 60


@pytest.mark.parametrize("kind", ["plugins", *KINDS])
def test_names_are_unique_within_a_kind(kind: str) -> None:
    names = [check.name for check in checks_of(kind)]
    assert names and len(set(names)) == len(names)


@pytest.mark.parametrize("name", ALL)
def test_a_contract_is_a_sentence(name: str) -> None:
    contract = ALL[name].contract
    assert contract[0].isupper() or contract[0] in "`"
    assert contract.endswith(".") and len(contract) > 20


@pytest.mark.parametrize("name", ALL)
def test_a_contract_is_written_where_the_check_says(name: str) -> None:
    assert written(ALL[name]).strip()


def written(check: Check) -> str:
    """Return the words at the place: a section of a page, the docstring of a module or a public name, a field's."""
    if check.where.startswith("docs/"):
        page, _, anchor = check.where.partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        return next(heading for heading in headings if heading.lower().replace(" ", "-") == anchor)
    _, first, *rest = check.where.split(".")
    place = getattr(inarch, first) if first in inarch.__all__ else import_module(f"inarch.{first}")
    if not rest:
        return place.__doc__
    [name] = rest
    if name in vars(place) and vars(place)[name].__doc__ and callable(vars(place)[name]):
        return vars(place)[name].__doc__
    field = re.search(rf'^    {name}: .+\n    """(.+)', inspect.getsource(place), re.MULTILINE)
    return field[1] if field else re.search(rf"`{name}\(.*\)` .+", place.__doc__)[0]
