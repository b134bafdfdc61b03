"""The conformance kit: checks of what plugins register, for pytest. Imports nothing until a name is used.

``pytest --inarch-plugin NAME`` checks everything that a plugin registers; a class of tests checks what it names:

    from inarch.testing import BackboneConformance

    class TestSeries(BackboneConformance):
        component = "series"
        expected_failed_checks = {"alone_as_in_a_batch": "the library pads with noise, see its issue 12"}
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inarch.testing.classes import BackboneConformance as BackboneConformance
    from inarch.testing.classes import DatasetConformance as DatasetConformance
    from inarch.testing.classes import HeadConformance as HeadConformance
    from inarch.testing.classes import MetricConformance as MetricConformance
    from inarch.testing.classes import PluginConformance as PluginConformance
    from inarch.testing.classes import StrategyConformance as StrategyConformance

__all__ = [
    "BackboneConformance",
    "DatasetConformance",
    "HeadConformance",
    "MetricConformance",
    "PluginConformance",
    "StrategyConformance",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'inarch.testing' has no attribute '{name}'")
    return getattr(import_module("inarch.testing.classes"), name)
