"""The plugin keeps the contracts of `inarch`, as any third party's must."""

from inarch.testing import BackboneConformance, PluginConformance


class TestBackbones(BackboneConformance):
    plugin = "vision"


class TestPlugin(PluginConformance):
    plugin = "vision"
