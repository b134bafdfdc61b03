"""The core's own strategies keep the contracts of `inarch`: each is tried in small trainings by the real loop."""

from inarch.testing import StrategyConformance


class TestStrategies(StrategyConformance):
    plugin = "core"
