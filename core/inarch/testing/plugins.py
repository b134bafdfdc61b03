"""Checks of plugins as such."""

from inarch.testing.cases import PluginCase
from inarch.testing.check import Checks, expect

CHECKS = Checks()


@CHECKS.add("inarch.hookspecs")
def can_be_loaded(case: PluginCase) -> None:
    """A plugin can be imported, answers hooks that exist, and registers what its names and builders allow."""
    expect(not case.plugin.error, f"{case.plugin.error}\n{case.plugin.details}".strip())


@CHECKS.add("inarch.hookspecs")
def answers_a_hook(case: PluginCase) -> None:
    """A plugin answers at least one hook."""
    expect(case.plugin.error or case.plugin.hooks, f"{case.plugin.module} answers none; is @inarch.hookimpl missing?")
