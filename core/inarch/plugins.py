"""Plugins: guarded import of what discovery finds, lookup with "did you mean".

A plugin that fails to load is recorded with its reason. Commands that do not need it work; a recipe that names one of
its components stops with that reason, for inarch never trains without something that the recipe asked for.
"""

import logging
import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import pluggy

from inarch import hookspecs, schema
from inarch.discovery import CORE, GROUP, install_for, installed, unknown_allowed, version, way_back
from inarch.errors import PluginError, RecipeError, listing, unknown
from inarch.guard import Plugin, named
from inarch.importing import contained, import_object
from inarch.made import refuse_other
from inarch.recipe import Component, Recipe
from inarch.registration import KINDS, SINGULAR, Entry, collect, refuse_unknown_hooks

STRICT = "INARCH_STRICT_PLUGINS"
_MOST = 3  # plugins that an error tells of
_KIND_OF_KEY = {
    "backbone": "backbones",
    "head": "heads",
    "dataset": "datasets",
    "metrics": "metrics",
    "strategy": "strategies",
}


class Plugins:
    """The plugins of this process, loaded or not and why, and the components that they registered."""

    def __init__(self, specs: Any = hookspecs) -> None:
        self.manager, self.specs = pluggy.PluginManager("inarch"), specs
        self.manager.add_hookspecs(specs)
        self.known: dict[str, Plugin] = {}
        self.components: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}

    def note(self, plugin: Plugin) -> bool:
        """Take note of a plugin, and say whether it may be loaded: it is not disabled, and its name is its own.

        A built-in plugin keeps its name; of two others neither is used, for which of them is meant is unknown.
        """
        other = self.known.get(plugin.name)
        if other is None:
            self.known[plugin.name] = plugin
            return not (plugin.error or plugin.disabled)
        self.known[f"{plugin.name} of {plugin.distribution}"] = plugin
        if plugin.disabled:  # the other one as well, for it has the name
            return False
        plugin.error = f"two plugins are called '{plugin.name}': {other.origin} and {plugin.origin}"
        plugin.advice = f"pip uninstall {plugin.distribution}"
        if other.distribution != "inarch":
            self.remove(plugin.name)
            plugin.advice = other.advice = (
                f"pip uninstall {other.distribution}, or: pip uninstall {plugin.distribution}"
            )
            other.error, other.registered, other.hooks = plugin.error, {}, []
            self.known[other.name] = other
        return False

    def load(self, plugin: Plugin) -> None:
        """Import one plugin and register what it offers; on any failure take all of it back and record why."""
        start = time.perf_counter()
        try:
            with contained(plugin):
                self.add(plugin, import_object(plugin.module))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            plugin.fail(error)
        plugin.milliseconds = round(1000 * (time.perf_counter() - start), 1)

    def add(self, plugin: Plugin, module: Any) -> None:
        """Register a module that is already imported."""
        self.known.setdefault(plugin.name, plugin)
        if self.manager.has_plugin(plugin.name):
            other = self.known[plugin.name]
            raise PluginError(f"two plugins are called '{plugin.name}': {other.label} and {plugin.label}")
        try:
            refuse_unknown_hooks(module, self.specs)
            self.manager.register(module, plugin.name)
            new = collect(plugin, module, self.components, self.known)
        except BaseException:
            if self.manager.has_plugin(plugin.name):
                self.manager.unregister(name=plugin.name)
            raise
        for entry in new:
            self.components[entry.kind][entry.name] = entry
            plugin.registered.setdefault(entry.kind, []).append(entry.name)
        plugin.hooks = [caller.name for caller in self.manager.get_hookcallers(module) or []]

    def remove(self, name: str) -> None:
        """Take a plugin and all its components out again."""
        if self.manager.has_plugin(name):
            self.manager.unregister(name=name)
        self.known.pop(name)
        for entries in self.components.values():
            for entry in [entry for entry in entries.values() if entry.plugin == name]:
                del entries[entry.name]

    def find(self, kind: str, name: str, where: str) -> Entry:
        """Return the component `name` of `kind`, or raise RecipeError with the nearest match and the broken plugins."""
        if name in self.components[kind]:
            return self.components[kind][name]
        message = f"{where}: {unknown(SINGULAR[kind], name, sorted(self.components[kind]))}"
        raise RecipeError(message + self.absent(name))

    def absent(self, name: str = "") -> str:
        """Say which plugins are not there to look in, and what to type; empty if all are.

        name: of a component that is missed, or of a distribution; a plugin that names begin with is told alone.
        """
        away = [plugin for plugin in self.known.values() if plugin.error or plugin.disabled]
        likely = [plugin for plugin in away if name.startswith(plugin.name) or name == plugin.distribution]
        broken = [
            f"{plugin.label}: {plugin.error.rstrip('.')}, type: {plugin.advice}"
            for plugin in likely or away
            if plugin.error
        ]
        disabled = [
            f"{plugin.label} by {plugin.disabled}, type: {way_back(plugin)}"
            for plugin in likely or away
            if plugin.disabled
        ]
        sentence = f" Plugins that could not be loaded: {_some(broken)}." if broken else ""
        return sentence + (f" Plugins that are disabled: {_some(disabled)}." if disabled else "")

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a lifecycle hook; a failure names the plugin."""
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            with named(self.known[implementation.plugin_name], hook):
                implementation.function(**{name: arguments[name] for name in implementation.argnames})

    def refuse_broken(self) -> None:
        """Raise PluginError for the first plugin that cannot be used, with its traceback as a note."""
        for plugin in self.known.values():
            if plugin.error:
                error = PluginError(
                    f"{plugin.label}: {plugin.error} ({STRICT} makes this fatal). Type: {plugin.advice}"
                )
                error.add_note(plugin.details)
                raise error


def _some(told: list[str]) -> str:
    rest = len(told) - _MOST
    return "; ".join(told[:_MOST]) + (f"; and {rest} more, see: inarch plugins" if rest > 0 else "")


@cache
def loaded() -> Plugins:
    """Return the plugins of this process: the core's own components first, then inarch's, then all other's, by name.

    What $INARCH_PLUGINS names and is not installed is said. With $INARCH_STRICT_PLUGINS whatever fails is raised.
    """
    plugins = Plugins()
    for plugin in candidates():
        if plugins.note(plugin):
            plugins.load(plugin)
    wrong = unknown_allowed(list(plugins.known))
    if is_strict():
        if wrong:
            raise PluginError(wrong[0])
        plugins.refuse_broken()
    for sentence in wrong:
        logging.getLogger("inarch").warning("%s", sentence)
    return plugins


def candidates() -> list[Plugin]:
    """Return the core and every installed plugin, in the order in which they are loaded."""
    rest = sorted(installed(), key=lambda plugin: (plugin.distribution != "inarch", plugin.name))
    return [Plugin(CORE, "inarch.builtin", "inarch", version()), *rest]


def is_strict() -> bool:
    """Say whether $INARCH_STRICT_PLUGINS asks for every failure of a plugin to be fatal."""
    return os.environ.get(STRICT, "") not in ("", "0")


def check(recipe: Recipe) -> dict[str, list[tuple[Entry, dict[str, Any]]]]:
    """Find every component that the recipe names and check its options; no torch is imported.

    Returns, for each kind, the entries with their options, converted and with defaults filled in.
    """
    found: dict[str, list[tuple[Entry, dict[str, Any]]]] = {}
    for key, component in recipe.components():
        entry, options = check_component(key, component, recipe)
        found.setdefault(key, []).append((entry, options))
    return found


def check_component(key: str, component: Component, recipe: Recipe) -> tuple[Entry, dict[str, Any]]:
    """Find one component and check its options."""
    entry = loaded().find(_KIND_OF_KEY[key], component.name, recipe.document.where(component.key))
    return entry, schema.bind(entry.build, component.options, recipe.document, component.key)


def build(entry: Entry, options: Mapping[str, Any], *given: Any) -> Any:
    """Call a builder with what the core hands over and the recipe's options; a failure names the plugin."""
    plugin = loaded().known[entry.plugin]
    try:
        with named(plugin, f"building '{entry.name}'", ImportError):
            made = entry.build(*given, **options)
    except ImportError as error:
        extra = entry.name if plugin.name == CORE else plugin.name  # the core has extras for single components
        own = plugin.distribution == "inarch"
        hint = f"pip install 'inarch[{extra}]'" if own else install_for(plugin.distribution, error.name)
        raise PluginError(
            f"{entry.name} of {plugin.label} needs a package that is missing: {error}. Try: {hint}"
        ) from error
    refuse_other(made, entry, plugin)
    return made


__all__ = [
    "CORE",
    "GROUP",
    "KINDS",
    "Entry",
    "Plugin",
    "Plugins",
    "build",
    "check",
    "check_component",
    "listing",
    "loaded",
]
