"""Checks of builders, of components of every kind."""

import inspect

from inarch.document import Document
from inarch.errors import RecipeError
from inarch.schema import convert, parameters, plain, spell
from inarch.testing.cases import ComponentCase
from inarch.testing.check import Checks, expect

CHECKS = Checks()


@CHECKS.add("inarch.Trial")
def can_be_tried(case: ComponentCase) -> None:
    """A component can be built with the options that its trial says, or with its defaults."""
    expect(case.problem is None, case.problem or "")
    expect(case.options is not None, "no options")  # binding them refuses those that the builder has not


@CHECKS.add("inarch.hookspecs")
def says_what_it_is(case: ComponentCase) -> None:
    """The docstring of a builder begins with a line that `inarch list` can print."""
    expect(case.entry.summary, f"{case.entry.build.__qualname__} has no docstring")


@CHECKS.add("inarch.hookspecs")
def defaults_mean_the_same_in_a_recipe(case: ComponentCase) -> None:
    """The default of an option is a value that a recipe could write in its place, and it means the same there."""
    for name, option in parameters(case.entry.build).items():
        if option.default is inspect.Parameter.empty:
            continue
        document = Document(f"the builder of {case.label}", {})
        try:
            again = convert(plain(option.default), option.annotation, document, (name,))
        except RecipeError as error:
            expect(False, f"{name}: the default {option.default!r} is not {spell(option.annotation)}: {error}")
        same = plain(again) == plain(option.default)
        expect(same, f"{name}: the default {option.default!r}, in a recipe, is {again!r}")
