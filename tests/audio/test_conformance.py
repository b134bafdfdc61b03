"""The plugin keeps the contracts of `inarch`, as any third party's must.

The smallest bundle of torchaudio has 94 million parameters: `pytest --inarch-plugin audio` tries it too, for minutes.
"""

from inarch.testing import BackboneConformance, DatasetConformance, MetricConformance, PluginConformance


class TestTransformers(BackboneConformance):
    component = "transformers_audio"


class TestSpectrogram(BackboneConformance):
    component = "spectrogram"


class TestSpeechEmbedding(BackboneConformance):
    component = "speech_embedding"


class TestDatasets(DatasetConformance):
    plugin = "audio"


class TestMetrics(MetricConformance):
    plugin = "audio"


class TestPlugin(PluginConformance):
    plugin = "audio"
