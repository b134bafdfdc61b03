"""Plugins: discovery by metadata, guarded import, lookup with "did you mean".

A plugin that fails to load is recorded with its reason. Commands that do not need it work; a recipe that names one of
its components stops with that reason, for inarch never trains without something that the recipe asked for.
"""

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

import pluggy

from inarch import hookspecs, schema
from inarch.errors import PluginError, RecipeError, listing, printable, unknown
from inarch.guard import Plugin, guarded, named
from inarch.recipe import Component, Recipe

GROUP = "inarch"
CORE = "core"
KINDS = ("backbones", "heads", "datasets", "metrics", "strategies")
_KIND_OF_KEY = {
    "backbone": "backbones",
    "head": "heads",
    "dataset": "datasets",
    "metrics": "metrics",
    "strategy": "strategies",
}
_FACTS: dict[str, dict[str, Any]] = {
    "backbones": {"domain": "", "verify": None, "starter": None, "candidates": None, "keeps": (), "trial": None},
    "heads": {"read": None, "verify": None, "trained": True, "trial": None},
    "datasets": {"trial": None},
    "metrics": {"kinds": (), "larger_is_better": True, "verify": None, "trial": None},
    "strategies": {"trial": None},
}
_COMMAND_NAMES = {
    "datasets": "dataset",
    "backbones": "backbone",
    "heads": "head",
    "strategies": "strategy",
    "metrics": "metric",
}


@dataclass(frozen=True)
class Entry:
    """A registered component."""

    name: str
    kind: str
    build: Callable[..., Any]
    plugin: str
    facts: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The first line of the builder's docstring."""
        return (self.build.__doc__ or "").strip().split("\n", 1)[0]


class Plugins:
    """The loaded plugins, and the components that they registered."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("inarch")
        self.manager.add_hookspecs(hookspecs)
        self.known: dict[str, Plugin] = {}
        self.components: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}

    def load(self, name: str, module_name: str, distribution: str, version: str) -> None:
        """Import one plugin and register what it offers; on any failure take all of it back and record why."""
        plugin = self.known[name] = Plugin(name, module_name, distribution, version)
        try:
            with redirect_stdout(sys.stderr):  # what it prints is no part of the output
                module = importlib.import_module(module_name)
                self.add(plugin, module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            plugin.error = printable(f"{type(error).__name__}: {error}".strip())
            plugin.details = traceback.format_exc()

    def add(self, plugin: Plugin, module: Any) -> None:
        """Register a module that is already imported."""
        self.known.setdefault(plugin.name, plugin)
        if self.manager.has_plugin(plugin.name):
            other = self.known[plugin.name]
            raise PluginError(f"two plugins are called '{plugin.name}': {other.label} and {plugin.label}")
        try:
            self.manager.register(module, plugin.name)
            self._refuse_unknown_hooks(module)
            new = self._collect(plugin, module)
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

    def refuse_namesake(self, plugin: Plugin) -> None:
        """Take out the plugin that has this one's name, for which of them is meant is unknown; the core stays."""
        other = self.known[plugin.name]
        error = f"two plugins are called '{plugin.name}': {other.origin} and {plugin.origin}"
        if plugin.name == CORE:
            self.known[f"{plugin.name} of {plugin.distribution}"] = plugin
        else:
            self.remove(plugin.name)
            self.known[plugin.name] = plugin = other
        plugin.error, plugin.registered, plugin.hooks = error, {}, []

    def find(self, kind: str, name: str, where: str) -> Entry:
        """Return the component `name` of `kind`, or raise RecipeError with the nearest match and the broken plugins."""
        if name in self.components[kind]:
            return self.components[kind][name]
        message = f"{where}: {unknown(_COMMAND_NAMES[kind], name, sorted(self.components[kind]))}"
        broken = [f"{plugin.label}: {plugin.error}" for plugin in self.known.values() if plugin.error]
        if broken:
            message += " Plugins that could not be loaded: " + "; ".join(broken) + "."
        raise RecipeError(message)

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a lifecycle hook; a failure names the plugin."""
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            with named(self.known[implementation.plugin_name], hook):
                implementation.function(**{name: arguments[name] for name in implementation.argnames})

    def _refuse_unknown_hooks(self, module: Any) -> None:
        specs = {name for name in vars(hookspecs) if name.startswith(("register_", "on_"))}
        for name, member in vars(module).items():
            options = getattr(member, "inarch_impl", None)
            if options is None:
                continue
            hook = options.get("specname") or name
            if hook not in specs:
                raise PluginError(f"{name}: {unknown('hook', hook, sorted(specs))}")
            if getattr(member, "__defaults__", None):
                raise PluginError(f"{name}: the parameters of a hookimpl must not have defaults")

    def _collect(self, plugin: Plugin, module: Any) -> list[Entry]:
        new: list[Entry] = []
        for kind in KINDS:
            implementation = getattr(module, f"register_{kind}", None)
            if implementation is not None and hasattr(implementation, "inarch_impl"):
                implementation(self._register(kind, plugin, new))
        return new

    def _register(self, kind: str, plugin: Plugin, new: list[Entry]) -> hookspecs.Register:
        """Return the function that a plugin calls to register a component of a kind; it fills `new`."""

        def register(name: str, build: Callable[..., Any], **facts: Any) -> None:
            if not isinstance(name, str) or not name.isprintable() or not name.strip():
                raise PluginError(f"register({name!r}): expected a name, a word of text")
            for fact, value in facts.items():
                if fact not in _FACTS[kind]:
                    raise PluginError(f"register({name!r}): {unknown('fact', fact, _FACTS[kind])}")
                if _FACTS[kind][fact] is None and value is not None:
                    if not callable(value):
                        raise PluginError(f"register({name!r}): {fact} must be a function, found {value!r}")
                    facts[fact] = guarded(plugin, f"{fact} of '{name}'", value)
            taken = next((e for e in [*self.components[kind].values(), *new] if (e.kind, e.name) == (kind, name)), None)
            if taken:
                owners = f"{self.known[taken.plugin].label} and {plugin.label}"
                raise PluginError(f"the {_COMMAND_NAMES[kind]} '{name}' is registered twice: by {owners}")
            schema.parameters(build)  # every option is annotated, or this raises
            new.append(Entry(name, kind, build, plugin.name, {**_FACTS[kind], **facts}))

        return register


@cache
def loaded() -> Plugins:
    """Return the plugins of this process: the core's own components first, then every entry point, sorted by name."""
    plugins = Plugins()
    plugins.load(CORE, "inarch.builtin", "inarch", _version("inarch"))
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        distribution = point.dist.name if point.dist else "unknown"
        version = point.dist.version if point.dist else "0"
        if point.name in plugins.known:
            plugins.refuse_namesake(Plugin(point.name, point.value, distribution, version))
        else:
            plugins.load(point.name, point.value, distribution, version)
    return plugins


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
            return entry.build(*given, **options)
    except ImportError as error:
        extra = entry.name if plugin.name == CORE else plugin.name  # the core has extras for single components
        hint = (
            f"pip install 'inarch[{extra}]'"
            if plugin.distribution == "inarch"
            else f"pip install {plugin.distribution}"
        )
        raise PluginError(
            f"{entry.name} of {plugin.label} needs a package that is missing: {error}. Try: {hint}"
        ) from error


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "0"


__all__ = ["Entry", "Plugin", "Plugins", "build", "check", "check_component", "listing", "loaded"]
