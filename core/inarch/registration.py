"""What a plugin registers, collected before any of it counts, so that half a registration leaves nothing behind."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inarch import hookspecs
from inarch.discovery import version
from inarch.errors import PluginError, listing, unknown
from inarch.guard import Plugin, guarded
from inarch.signatures import refuse_builder
from inarch.specification import refuse_removed, specifications

KINDS = ("backbones", "heads", "datasets", "metrics", "strategies")
SINGULAR = {
    "datasets": "dataset",
    "backbones": "backbone",
    "heads": "head",
    "strategies": "strategy",
    "metrics": "metric",
}
_FACTS: dict[str, dict[str, Any]] = {
    "backbones": {"domain": "", "verify": None, "starter": None, "candidates": None, "keeps": (), "trial": None},
    "heads": {"read": None, "verify": None, "trained": True, "trial": None},
    "datasets": {"trial": None},
    "metrics": {"kinds": (), "larger_is_better": True, "verify": None, "trial": None},
    "strategies": {"trial": None},
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


def collect(
    plugin: Plugin, module: Any, taken: Mapping[str, Mapping[str, Entry]], known: Mapping[str, Plugin]
) -> list[Entry]:
    """Call the registering hooks of a plugin's module and return what it registered, or raise for all of it.

    taken: the components that there are already, by kind and name; known: the plugins that they are of.
    """
    new: list[Entry] = []
    for kind in KINDS:
        implementation = getattr(module, f"register_{kind}", None)
        if implementation is None or not hasattr(implementation, "inarch_impl"):
            continue
        book = _Book(kind, plugin, new, taken[kind], known)
        try:
            implementation(book.register)
        finally:
            book.closed = True
    return new


def refuse_unknown_hooks(module: Any, specs: Any = hookspecs) -> None:
    """Raise PluginError for a hook that is misspelt or removed, and for a parameter that would never get a value."""
    known = specifications(specs)
    for name, member in vars(module).items():
        options = getattr(member, "inarch_impl", None)
        if options is None:
            continue
        hook = options.get("specname") or name
        if hook not in known:
            raise PluginError(f"{name}: {unknown('hook', hook, sorted(known))}")
        if getattr(member, "__defaults__", None):
            raise PluginError(f"{name}: the parameters of a hookimpl must not have defaults")
        refuse_removed(known[hook], _names(member), version())
        refuse_parameters(name, _names(member), _names(known[hook]))


def refuse_parameters(hook: str, found: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise PluginError for a parameter that a hook does not hand over."""
    for parameter in found:
        if parameter not in allowed:
            raise PluginError(f"{hook}({listing(found)}): {unknown('parameter', parameter, allowed)}")


def _names(function: Any) -> list[str]:
    """Return the names of a function's parameters; `self` of a method is none of the hook's."""
    code = function.__code__
    names = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    return names[1:] if names[:1] == ["self"] else names


class _Book:
    """What a plugin may write its components of one kind into while its hook is called."""

    def __init__(
        self, kind: str, plugin: Plugin, new: list[Entry], taken: Mapping[str, Entry], known: Mapping[str, Plugin]
    ) -> None:
        self.kind, self.plugin, self.new, self.taken, self.known = kind, plugin, new, taken, known
        self.closed = False

    def register(self, name: str, build: Callable[..., Any], **facts: Any) -> None:
        """Register a component by what a recipe calls it and its builder; the facts of its kind are in `hookspecs`."""
        if self.closed:
            raise PluginError(
                f"{self.plugin.label}: register({name!r}) was called after register_{self.kind} had returned; what it "
                "registers must be known by then"
            )
        if not isinstance(name, str) or not name.isprintable() or not name.strip():
            raise PluginError(f"register({name!r}): expected a name, a word of text")
        for fact, value in facts.items():
            if fact not in _FACTS[self.kind]:
                raise PluginError(f"register({name!r}): {unknown('fact', fact, _FACTS[self.kind])}")
            if _FACTS[self.kind][fact] is None and value is not None:
                if not callable(value):
                    raise PluginError(f"register({name!r}): {fact} must be a function, found {value!r}")
                facts[fact] = guarded(self.plugin, f"{fact} of '{name}'", value)
        self._refuse_taken(name)
        try:
            refuse_builder(build, self.kind)
        except PluginError as error:
            raise PluginError(f"register({name!r}): {error}") from error
        self.new.append(Entry(name, self.kind, build, self.plugin.name, {**_FACTS[self.kind], **facts}))

    def _refuse_taken(self, name: str) -> None:
        own = next((entry for entry in self.new if (entry.kind, entry.name) == (self.kind, name)), None)
        first = self.taken.get(name) or own
        if first:
            owners = f"{self.known[first.plugin].label} and {self.plugin.label}"
            error = PluginError(f"the {SINGULAR[self.kind]} '{name}' is registered twice: by {owners}")
            if self.known[first.plugin].distribution not in ("inarch", self.plugin.distribution):
                error.advice = f"inarch plugins disable {first.plugin}, or: inarch plugins disable {self.plugin.name}"
            raise error
