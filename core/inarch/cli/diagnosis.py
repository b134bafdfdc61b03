"""What is wrong with plugins and what is worth knowing, with what to type. Imports no plugin in this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from inarch import switches
from inarch.cli.survey import survey
from inarch.discovery import ALLOWED, CORE, unknown_allowed, version, way_back
from inarch.errors import printable
from inarch.guard import Plugin

if TYPE_CHECKING:
    from packaging.requirements import Requirement

OWN_EXTRAS = ("lora", "plots", "tensorboard", "scaffold")
"""What the core can do with a package more."""

SLOW = 2000.0
"""Milliseconds of an import beyond which it is worth knowing who takes them."""


@dataclass(frozen=True)
class Finding:
    """Something about a plugin."""

    plugin: str
    wrong: bool
    """False: worth knowing, and as somebody may want it."""
    what: str
    type: str
    """What to type; empty where nothing need be done."""


def diagnose() -> tuple[list[Plugin], list[Finding]]:
    """Return all plugins, and what is to be said about them."""
    known = survey()
    findings = [finding for plugin in known for finding in _of_plugin(plugin)]
    names = {plugin.name for plugin in known}
    allowed = [Finding(ALLOWED, True, told.removeprefix(f"{ALLOWED}: "), "") for told in unknown_allowed(sorted(names))]
    gone = [
        Finding(name, False, f"is disabled by {' and '.join(map(str, paths))}, and not installed",
                f"inarch plugins enable {name}")
        for name, paths in switches.disabled().items() if name not in names
    ]  # fmt: skip
    return known, [*findings, *allowed, *gone]


def _of_plugin(plugin: Plugin) -> Iterator[Finding]:
    if plugin.error:
        yield Finding(plugin.name, True, plugin.error, plugin.advice)
    if plugin.disabled:
        yield Finding(plugin.name, False, f"is disabled by {plugin.disabled}", way_back(plugin))
    if plugin.milliseconds and plugin.milliseconds > SLOW and plugin.name != CORE:
        told = f"its import takes {plugin.milliseconds / 1000:.1f} s, and whoever looks for a component waits"
        yield Finding(plugin.name, False, f"{told}; its top module should import nothing heavy", "")
    if plugin.distribution != "inarch":
        yield from _unmet(plugin, "", wrong=True)
        if plugin.requires is None:
            yield Finding(
                plugin.name,
                False,
                f"{plugin.distribution} does not say which inarch it was built for",
                f'dependencies = ["{_range(version())}"] in its pyproject.toml',
            )
    elif plugin.name == CORE:
        yield from _unmet(plugin, "", wrong=True)
        for extra in OWN_EXTRAS:
            yield from _unmet(plugin, extra, wrong=False)
    else:
        yield from _unmet(plugin, plugin.name, wrong=False)


def _range(own: str) -> str:
    """Return what a plugin that is built for this inarch requires: until 1.0 every minor version may break it."""
    major, minor = map(int, own.split(".")[:2])
    return f"inarch>={major}.{minor},<{f'0.{minor + 1}' if major == 0 else major + 1}"


def _unmet(plugin: Plugin, extra: str, wrong: bool) -> Iterator[Finding]:
    """Yield what a distribution requires, for itself or for one of its extras, and what is installed instead."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        lines = metadata.requires(plugin.distribution) or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            told = f"{plugin.distribution} requires '{printable(line)}', which cannot be understood"
            yield Finding(plugin.name, False, told, "")
            continue
        found = _found(requirement) if _is_meant(requirement, extra) else None
        if found:
            asked = f"the extra '{extra}' of inarch" if extra else plugin.distribution
            install = f"inarch[{extra}]" if extra else line.partition(";")[0].strip()
            told = f"{asked} requires {requirement.name}{requirement.specifier}, {found}"
            yield Finding(plugin.name, wrong, told, f"pip install '{install}'")


def _is_meant(requirement: "Requirement", extra: str) -> bool:
    """Say whether a requirement is one on this system: of an extra, or where that is empty of everybody."""
    marker = requirement.marker
    if marker is None:
        return not extra
    everybody = marker.evaluate({"extra": ""})
    return not everybody and marker.evaluate({"extra": extra}) if extra else everybody


def _found(requirement: "Requirement") -> str | None:
    """Say what is installed where a requirement is not met; None where it is. inarch's own is another's matter."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "which is not installed"
    met = requirement.name.lower() == "inarch" or requirement.specifier.contains(version, prereleases=True)
    return None if met else f"and {version} is installed"
