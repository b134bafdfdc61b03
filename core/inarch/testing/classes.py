"""The kit as classes of tests: a subclass names a component, or a plugin, and may change its trial."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from inarch.errors import InarchError, PluginError
from inarch.interfaces.trial import Trial
from inarch.plugins import loaded
from inarch.testing import catalogue
from inarch.testing.cases import ComponentCase, PluginCase, find_entry, find_plugin
from inarch.testing.check import Check
from inarch.testing.collection import Case, expected_to_fail, run


class _Conformance:
    """A test for each check of a kind."""

    kind: ClassVar[str]
    plugin: ClassVar[str | None] = None
    """All components of the kind that this plugin registers."""
    component: ClassVar[str | None] = None
    """One component, by its name."""
    trial: ClassVar[Trial | Sequence[Trial] | None] = None
    """What to try it with; None: what it is registered with."""
    expected_failed_checks: ClassVar[Mapping[str, str]] = {}
    """Names of checks that are known to fail, each with the reason, beside those of the trial."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Give a kind's base class its tests."""
        super().__init_subclass__(**options)
        if "kind" in vars(cls):
            for check in catalogue.checks_of(cls.kind):
                setattr(cls, f"test_{check.name}", _test(check))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Let each test see the cases that its check is for."""
        check: Check | None = getattr(metafunc.function, "check", None)
        if check is None:
            return
        try:
            catalogue.refuse_unknown(list(self.expected_failed_checks), self.kind, type(self).__name__)
            cases = [case for case in self._cases() if check in catalogue.planned(case)]
        except InarchError as error:
            raise pytest.Collector.CollectError(str(error)) from None
        metafunc.parametrize("case", [self._parameter(case, check) for case in cases])

    def _parameter(self, case: Case, check: Check) -> Any:
        expected = {**case.expected_failed_checks, **self.expected_failed_checks}
        marks = [expected_to_fail(expected[check.name])] if check.name in expected else []
        return pytest.param(case, id=case.label, marks=marks)

    def _cases(self) -> Sequence[Case]:
        if self.component is not None:
            return catalogue.cases_of(find_entry(self.kind, self.component), self.trial)
        if self.plugin is None:
            raise PluginError(
                f"{type(self).__name__}: say which: component = NAME, or plugin = NAME for all of its own"
            )
        plugin = find_plugin(self.plugin)
        if plugin.error:
            raise PluginError(f"{plugin.label} cannot be loaded: {plugin.error}")
        entries = [entry for entry in loaded().components[self.kind].values() if entry.plugin == plugin.name]
        return [case for entry in entries for case in catalogue.cases_of(entry, self.trial)]


def _test(check: Check) -> Any:
    def test(self: object, case: ComponentCase) -> None:
        __tracebackhide__ = True
        run(check, case)

    test.__name__ = test.__qualname__ = f"test_{check.name}"
    test.__doc__ = check.contract
    test.check = check  # type: ignore[attr-defined]
    return test


class BackboneConformance(_Conformance):
    """Tests of backbones."""

    kind = "backbones"


class HeadConformance(_Conformance):
    """Tests of heads."""

    kind = "heads"


class DatasetConformance(_Conformance):
    """Tests of data sets."""

    kind = "datasets"


class MetricConformance(_Conformance):
    """Tests of metrics."""

    kind = "metrics"


class StrategyConformance(_Conformance):
    """Tests of strategies."""

    kind = "strategies"


class PluginConformance(_Conformance):
    """Tests of a plugin as such: what importing it does, what it imports, what its distribution says."""

    kind = "plugins"

    def _cases(self) -> Sequence[Case]:
        if self.plugin is None:
            raise PluginError(f"{type(self).__name__}: say which: plugin = NAME")
        return [PluginCase(find_plugin(self.plugin))]
