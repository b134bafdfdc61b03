"""The toy plugin's backbones with one fault each, for the tests of the checks that catch them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import inarch_toy

from inarch import Trial
from inarch.registration import Entry
from inarch.testing.backbone_case import BackboneCase
from inarch.testing.catalogue import checks_of

FACTS = {"verify": None, "starter": None, "candidates": None, "keeps": (), "trial": None}
INPUTS = {
    "vectors": ("1 2 3 4", "0.5 -1 2 0", "9 9 9 9", "0 0 0 1e-3"),
    "letters": ("abc", "the quick brown fox", "a", "zebra crossing at noon with many letters"),
}
CHECKS = {check.name: check for check in checks_of("backbones")}


def case(
    kind: str,
    options: Mapping[str, Any] | None = None,
    change: Callable[[Any], None] | None = None,
    facts: Mapping[str, Any] | None = None,
    inputs: Sequence[Any] = (),
    **methods: Any,
) -> BackboneCase:
    """Return a case of the toy's backbone `kind`, some methods replaced, changed once it is built."""
    good = getattr(inarch_toy, kind)

    @functools.wraps(good)
    def build(**given: Any) -> Any:
        backbone = good(**given)
        backbone.__class__ = type("Faulty", (type(backbone),), methods)
        if change:
            change(backbone)
        return backbone

    domain = "vector" if kind == "vectors" else "letters"
    entry = Entry(kind, "backbones", build, "toy", {**FACTS, "domain": domain, **(facts or {})})
    return BackboneCase(entry, Trial(options=options or {}, inputs=inputs or INPUTS[kind], refused=["", 7]))
