"""What is tried: a plugin as such, or one of its components with one of its trials."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from inarch.discovery import way_back
from inarch.document import Document
from inarch.errors import PluginError, RecipeError, unknown
from inarch.guard import Plugin
from inarch.interfaces.trial import Trial
from inarch.plugins import CORE, Entry, loaded
from inarch.schema import bind, parameters
from inarch.testing.surroundings import first_environment

KINDS = {
    "backbones": "backbone",
    "heads": "head",
    "datasets": "dataset",
    "metrics": "metric",
    "strategies": "strategy",
}


@dataclass(frozen=True, eq=False)
class PluginCase:
    """A plugin as such."""

    plugin: Plugin
    problem: ClassVar[str | None] = None
    """A plugin that cannot be loaded is one of the things that checks tell."""

    @property
    def label(self) -> str:
        """What reports call it."""
        return f"plugin {self.plugin.name}"

    @property
    def whose(self) -> str:
        """Who breaks a contract."""
        return self.plugin.label

    @property
    def expected_failed_checks(self) -> Mapping[str, str]:
        """A plugin as such tries nothing; a subclass of PluginConformance can say what is known to fail."""
        return {}

    @property
    def is_core(self) -> bool:
        """Whether it is what the core registers itself."""
        return self.plugin.name == CORE

    def entries(self) -> list[Entry]:
        """Return all components that it registered."""
        return [entry for kind in KINDS for entry in loaded().components[kind].values()
                if entry.plugin == self.plugin.name]  # fmt: skip


@dataclass(frozen=True, eq=False)
class ComponentCase:
    """A component and one of its trials. What it makes is made anew for every check."""

    entry: Entry
    trial: Trial

    @property
    def label(self) -> str:
        """What reports call it."""
        return f"{KINDS[self.entry.kind]} {self.entry.name}" + (f" ({self.trial.name})" if self.trial.name else "")

    @property
    def whose(self) -> str:
        """Who breaks a contract."""
        return f"{self.label} of {loaded().known[self.entry.plugin].label}"

    @property
    def expected_failed_checks(self) -> Mapping[str, str]:
        """What the plugin knows to fail."""
        return self.trial.expected_failed_checks

    @cached_property
    def problem(self) -> str | None:
        """Why it cannot be tried, and what to write; None: it can."""
        required = [name for name, option in parameters(self.entry.build).items()
                    if option.default is inspect.Parameter.empty and name not in self.trial.options]  # fmt: skip
        if required:
            return self.asks(f"options={{'{required[0]}': ...}}", f"the option '{required[0]}' is required")
        return None

    def asks(self, wanted: str, reason: str) -> str:
        """Say what a trial must hold."""
        kind, name = KINDS[self.entry.kind], self.entry.name
        return (
            f"{reason}, and the kit cannot guess; register the {kind} with what it can be tried with: "
            f'register("{name}", {self.entry.build.__name__}, trial=...), a function that returns '
            f"inarch.Trial({wanted}), or a list of them"
        )

    @property
    def options(self) -> dict[str, Any]:
        """The trial's options as a recipe's are: converted, defaults filled in; its files are in the current folder."""
        for name, content in self.trial.files.items():
            path = Path(name)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        document = Document(f"the trial of {self.label}", {})
        return bind(self.entry.build, self.trial.options, document, (self.entry.name,))


def find_plugin(name: str) -> Plugin:
    """Return a plugin by its name, its module or its distribution; PluginError tells what there is."""
    first_environment()
    known, folded = loaded().known, name.lower().replace("-", "_")
    found = [plugin for plugin in known.values() if folded in (plugin.name, plugin.module.split(":")[0])]
    found = found or [p for p in known.values() if p.distribution.lower().replace("-", "_") == folded]
    if not found:
        hint = "Is it installed here, with an entry point of inarch?"
        raise PluginError(f"{unknown('plugin', name, sorted(known))} {hint}")
    if len(found) > 1:
        raise PluginError(f"{name} has several plugins: {', '.join(plugin.name for plugin in found)}; name one of them")
    if found[0].disabled:
        raise PluginError(f"{found[0].label} is disabled by {found[0].disabled}; type: {way_back(found[0])}")
    return found[0]


def find_entry(kind: str, name: str) -> Entry:
    """Return a component by its name; PluginError tells what there is."""
    first_environment()
    try:
        return loaded().find(kind, name, f"{KINDS[kind]} {name}")
    except RecipeError as error:
        raise PluginError(str(error)) from None


def trials_of(entry: Entry, given: Trial | Sequence[Trial] | None = None) -> list[Trial]:
    """Return what a component is tried with: what is given, what it registered, or a trial of nothing."""
    told = given if given is not None else entry.facts["trial"]() if entry.facts["trial"] else Trial()
    trials = [told] if isinstance(told, Trial) else told
    if not isinstance(trials, Sequence) or not trials or not all(isinstance(trial, Trial) for trial in trials):
        raise PluginError(f"trial of '{entry.name}': expected an inarch.Trial or a list of them, found {told!r}")
    names = [trial.name or str(number) for number, trial in enumerate(trials, 1)]
    if len(set(names)) < len(names):
        raise PluginError(f"trial of '{entry.name}': each needs a name of its own, found {', '.join(names)}")
    return [replace(trial, name=name) for trial, name in zip(trials, names, strict=True)] if names[1:] else list(trials)
