"""inarch's conformance kit, over each component."""

from inarch.testing import (
    BackboneConformance,
    DatasetConformance,
    HeadConformance,
    MetricConformance,
    PluginConformance,
)


class TestPlugin(PluginConformance):
    plugin = "timeseries"


class TestPatches(BackboneConformance):
    component = "patches"


class TestForecast(HeadConformance):
    component = "forecast"


class TestSeries(DatasetConformance):
    component = "series"


class TestMase(MetricConformance):
    component = "mase"
