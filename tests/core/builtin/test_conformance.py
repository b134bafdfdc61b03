"""The core's own components keep the contracts of `inarch`, as any plugin's must."""

import gc
from collections.abc import Iterator

import pytest

from inarch.testing import DatasetConformance, HeadConformance, MetricConformance


class TestHeads(HeadConformance):
    plugin = "core"


class TestMetrics(MetricConformance):
    plugin = "core"


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of the library `datasets`
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestDatasets(DatasetConformance):
    plugin = "core"

    @pytest.fixture(autouse=True)
    def _closed(self) -> Iterator[None]:
        yield
        gc.collect()
