"""What the specification of a hook says beside its signature: since when it is there, and how it goes when it must.

pluggy warns of a hook, or an argument, that is deprecated, wherever a plugin asks for it. In the version that removes
it, the plugin is refused with the same sentence.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pluggy

from inarch.errors import PluginError

Spec = TypeVar("Spec", bound=Callable[..., Any])

_mark = pluggy.HookspecMarker("inarch")


@dataclass(frozen=True, kw_only=True)
class Life:
    """The versions of inarch in the life of a hook, or of one of its arguments."""

    since: str
    deprecated: str | None = None
    """From this version on, plugins that use it are warned."""
    removed: str | None = None
    """From this version on, plugins that use it are refused."""
    instead: str = ""
    """What to write in place of it, a clause: `answer on_epoch_end`."""

    def sentence(self, what: str) -> str:
        """Say how `what` goes, and what to write instead."""
        removed = f"removed in inarch {self.removed}" if self.removed else ""
        told = f"deprecated since inarch {self.deprecated}" if self.deprecated else ""
        return f"{what} is {', '.join(part for part in (told, removed) if part)}; {self.instead}"

    def ended(self, version: str) -> bool:
        """Say whether it is removed in `version`."""
        from packaging.version import Version  # seldom needed

        return self.removed is not None and Version(Version(version).base_version) >= Version(self.removed)


def hookspec(
    *, since: str, deprecated: str | None = None, removed: str | None = None, instead: str = "",
    arguments: Mapping[str, Life] | None = None,
) -> Callable[[Spec], Spec]:  # fmt: skip
    """Mark a function as the specification of a hook; the arguments are of `Life`.

    arguments: those that came later than the hook, or go before it, each with its own life.
    """
    life = Life(since=since, deprecated=deprecated, removed=removed, instead=instead)
    lives = dict(arguments or {})

    def mark(function: Spec) -> Spec:
        name = function.__name__
        warnings = {
            argument: DeprecationWarning(its.sentence(f"the argument '{argument}' of {name}"))
            for argument, its in lives.items()
            if its.deprecated
        }
        hook = DeprecationWarning(life.sentence(f"the hook {name}")) if deprecated else None
        vars(function).update(inarch_life=life, inarch_arguments=lives)
        return _mark(warn_on_impl=hook, warn_on_impl_args=warnings)(function)

    return mark


def specifications(module: Any) -> dict[str, Any]:
    """Return every hook that a module specifies, by its name, in the order of the module."""
    return {name: member for name, member in vars(module).items() if hasattr(member, "inarch_life")}


def lives(spec: Any) -> tuple[Life, Mapping[str, Life]]:
    """Return the life of a hook, and of those of its arguments that have one of their own."""
    return spec.inarch_life, spec.inarch_arguments


def refuse_removed(spec: Any, parameters: Iterable[str], version: str) -> None:
    """Raise PluginError where a hook, or one of the parameters that a plugin asks for, is removed in `version`."""
    life, arguments = lives(spec)
    asked = {f"the argument '{name}' of {spec.__name__}": arguments[name] for name in parameters if name in arguments}
    for what, its in {f"the hook {spec.__name__}": life, **asked}.items():
        if its.ended(version):
            raise PluginError(its.sentence(what))
