"""What components of plugins promise and the core relies on, looked at where it is first seen; errors name the plugin.

Shapes: B batch, D features, T tokens, U units.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from inarch.errors import listing, unknown
from inarch.interfaces.backbone import Backbone, Features
from inarch.interfaces.strategy import Phase, Strategy
from inarch.made import broken, maker


def check_features(backbone: Backbone, found: Any, batch: Mapping[str, Tensor]) -> Features:
    """Return a backbone's answer to a batch, or raise PluginError where it is not what the backbone declares."""
    if not isinstance(found, Features):
        raise broken(backbone, "forward() returns inarch.Features", f"{type(found).__module__}.{type(found).__name__}")
    size, width = len(next(iter(batch.values()))), backbone.num_features
    for field in backbone.provides:
        if getattr(found, field, None) is None:
            raise broken(backbone, f"provides = {{{listing(sorted(backbone.provides))}}}", f"features without {field}")
    pooled, tokens, mask, units = found.pooled, found.tokens, found.mask, found.units
    if pooled is not None:
        _refuse_shape(backbone, "pooled", pooled, (size, width))
    if tokens is not None:
        _refuse_shape(backbone, "tokens", tokens, (size, None, width))
        if mask is not None:
            _refuse_shape(backbone, "mask", mask, (size, tokens.shape[1]))
    for tensor in found.maps or ():
        _refuse_shape(backbone, "maps", tensor, (size, None, None, None))
    if units is not None:
        _refuse_shape(backbone, "units", units, (size, None))
        if found.places is not None:
            _refuse_shape(backbone, "places", found.places, (size, units.shape[1], 2))
    if found.scale is not None:
        _refuse_shape(backbone, "scale", found.scale, (size, None, 2))
    return found


def check_phases(strategy: Strategy, backbone: Backbone, found: Any) -> list[Phase]:
    """Return a strategy's phases, or raise PluginError where they do not fit the backbone's layers."""
    if not isinstance(found, Sequence) or not found or not all(isinstance(phase, Phase) for phase in found):
        raise broken(strategy, "phases() returns a list of inarch.Phase", repr(found)[:80])
    layers = len(backbone.layers())
    names = {name for name, _ in backbone.named_parameters()}
    for phase in found:
        where = f"phase '{phase.name}'"
        if len(phase.layer_rates) != layers:
            seen = f"{where} with {len(phase.layer_rates)}"
            raise broken(strategy, f"layer_rates have one rate a layer of {maker(backbone)}: {layers}", seen)
        rates = [rate for rate in (*phase.layer_rates, phase.head_rate) if rate is not None]
        wrong = [rate for rate in rates if not isinstance(rate, int | float) or not math.isfinite(rate) or rate < 0]
        if wrong:
            raise broken(strategy, "rates are numbers from 0, or None for a frozen layer", f"{where} with {wrong[0]!r}")
        if not isinstance(phase.epochs, int) or phase.epochs < 0:
            raise broken(strategy, "epochs are a whole number from 0", f"{where} with {phase.epochs!r}")
        for name in sorted((phase.trains or frozenset()) - names):
            raise broken(strategy, "trains holds names of parameters", f"{where}: {unknown('parameter', name, names)}")
    return list(found)


def _refuse_shape(backbone: Backbone, field: str, tensor: Any, expected: Sequence[int | None]) -> None:
    shape = tuple(tensor.shape)
    fits = len(shape) == len(expected) and all(
        wanted is None or seen == wanted for seen, wanted in zip(shape, expected, strict=True)
    )
    if not fits:
        declared = ", ".join("any" if wanted is None else str(wanted) for wanted in expected)
        width = f" (num_features = {backbone.num_features})" if field in ("pooled", "tokens") else ""
        raise broken(backbone, f"'{field}' of shape ({declared}){width}", f"{shape}")
