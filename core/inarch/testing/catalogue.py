"""All checks, and the cases that they are for."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from inarch.errors import PluginError, unknown
from inarch.interfaces.trial import Trial
from inarch.plugins import Entry
from inarch.testing.cases import ComponentCase, PluginCase, trials_of
from inarch.testing.check import Check

# Modules with checks of a kind, each with `CHECKS`; their order is that of the reports.
_MODULES = {
    "plugins": ("plugins",),
    "backbones": (
        "builders",
        "backbones",
        "backbone_layers",
        "backbone_inputs",
        "backbone_state",
        "backbone_weights",
        "backbone_facts",
    ),
    "heads": ("builders", "heads", "head_answers"),
    "datasets": ("builders", "datasets"),
    "metrics": ("builders", "metrics"),
    "strategies": ("builders", "strategies", "strategy_runs"),
}
# The cases of a kind, where they make more than options.
_CASES = {
    "backbones": ("backbone_case", "BackboneCase"),
    "datasets": ("dataset_case", "DatasetCase"),
    "heads": ("head_case", "HeadCase"),
    "metrics": ("metric_case", "MetricCase"),
    "strategies": ("strategy_case", "StrategyCase"),
}


def checks_of(kind: str) -> list[Check]:
    """Return the checks of a kind, or of plugins as such."""
    return [check for name in _MODULES[kind] for check in import_module(f"inarch.testing.{name}").CHECKS]


def cases_of(entry: Entry, given: Trial | Sequence[Trial] | None = None) -> list[ComponentCase]:
    """Return a case for each trial of a component."""
    module, name = _CASES.get(entry.kind, ("cases", "ComponentCase"))
    make: Any = getattr(import_module(f"inarch.testing.{module}"), name)
    return [make(entry, trial) for trial in trials_of(entry, given)]


def planned(case: PluginCase | ComponentCase) -> list[Check]:
    """Return the checks that a case goes through: where it cannot be tried, only the one that says so."""
    checks = checks_of("plugins" if isinstance(case, PluginCase) else case.entry.kind)
    return checks[:1] if case.problem else checks


def refuse_unknown(expected: Sequence[str], kind: str, whose: str) -> None:
    """Raise PluginError if a check that is expected to fail does not exist."""
    names = [check.name for check in checks_of(kind)]
    for name in expected:
        if name not in names:
            raise PluginError(f"{whose}: expected_failed_checks: {unknown('check', name, names)}")
