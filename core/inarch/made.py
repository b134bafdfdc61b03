"""What a builder made: whether it is a thing of its kind, and of whom, for messages about it. Imports no torch."""

import inspect
import math
import sys
from contextlib import suppress
from typing import Any

from inarch.errors import PluginError
from inarch.guard import Plugin
from inarch.registration import SINGULAR, Entry
from inarch.signatures import describe

_MAKER = "_inarch_maker"
_TYPES = {
    "backbones": ("inarch.interfaces.backbone", "Backbone", "inarch.Backbone"),
    "heads": ("inarch.interfaces.head", "Head", "inarch.Head"),
    "datasets": ("inarch.interfaces.dataset", "Dataset", "inarch.Dataset"),
    "metrics": ("torchmetrics", "Metric", "torchmetrics.Metric"),
    "strategies": ("inarch.interfaces.strategy", "Strategy", "inarch.Strategy"),
}
"""Where the type of a kind is, and its public name. A thing of a type whose module nobody imported is not of it."""


def refuse_other(made: Any, entry: Entry, plugin: Plugin) -> None:
    """Raise PluginError if a builder returned something else than its kind; note on it who made it."""
    module, name, public = _TYPES[entry.kind]
    expected = getattr(sys.modules.get(module), name, None)
    if expected is None or not isinstance(made, expected):
        found, hint = _tell(made, expected)
        raise PluginError(
            f"{plugin.label}: the builder of the {SINGULAR[entry.kind]} '{entry.name}', {describe(entry.build)}, "
            f"returned {found}; expected an object of {public}{hint}"
        )
    with suppress(Exception):  # one that takes no attributes goes by its class
        object.__setattr__(made, _MAKER, f"the {SINGULAR[entry.kind]} '{entry.name}' of {plugin.label}")


def maker(made: Any) -> str:
    """Name a component and its plugin; one that no plugin built goes by its class."""
    return getattr(made, _MAKER, None) or f"{type(made).__module__}.{type(made).__qualname__}"


def broken(component: Any, promise: str, seen: str) -> PluginError:
    """Return the error of a component that is not as it says it is."""
    return PluginError(f"{maker(component)} breaks a promise: declared: {promise}; seen: {seen}")


def check_states(metric: Any) -> None:
    """Raise PluginError for a metric that keeps what it has counted where it is neither reset nor merged."""
    if not any(getattr(part, "_defaults", None) for part in metric.modules()):
        raise broken(metric, "a metric keeps what it has seen in states, by add_state()", "none")


def check_value(metric: Any, found: Any) -> float:
    """Return what a metric computed as a number, or raise PluginError."""
    if isinstance(found, int | float) or (hasattr(found, "item") and math.prod(getattr(found, "shape", (2,))) == 1):
        return float(found)
    shape = f" of shape {tuple(found.shape)}" if hasattr(found, "shape") else ""
    raise broken(metric, "compute() returns one number", f"{type(found).__name__}{shape}")


def _tell(made: Any, expected: type | None) -> tuple[str, str]:
    if made is None:
        return "None", "; does it end without `return`?"
    if inspect.isclass(made):
        fits = expected is not None and issubclass(made, expected)
        return f"the class {made.__name__}", f"; write `return {made.__name__}(...)`" if fits else ""
    return f"an object of {type(made).__module__}.{type(made).__qualname__}", ""
