"""The plugin keeps the contracts of `inarch`, as any third party's must."""

from inarch.testing import BackboneConformance, DatasetConformance, MetricConformance, PluginConformance


class TestBackbones(BackboneConformance):
    plugin = "text"


class TestDatasets(DatasetConformance):
    plugin = "text"


class TestMetrics(MetricConformance):
    plugin = "text"


class TestPlugin(PluginConformance):
    plugin = "text"
