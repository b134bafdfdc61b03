"""The kit as pytest collects it: a node for each plugin, and in it an item for each case and check."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from inarch.errors import InarchError
from inarch.guard import Plugin
from inarch.testing import catalogue
from inarch.testing.cases import ComponentCase, PluginCase, find_plugin
from inarch.testing.check import Check, Inapplicable, Violation

Case = PluginCase | ComponentCase


def collectors(session: pytest.Session, names: Sequence[str]) -> list["PluginNode"]:
    """Return a collector for each plugin that is named; one that is not installed ends the session."""
    try:
        plugins = {plugin.name: plugin for plugin in map(find_plugin, names)}
    except InarchError as error:
        raise pytest.UsageError(f"--inarch-plugin: {error}") from None
    return [PluginNode.from_parent(session, name=name, nodeid=name, plugin=plugin) for name, plugin in plugins.items()]


class PluginNode(pytest.Collector):
    """All that a plugin registered."""

    def __init__(self, plugin: Plugin, **node: Any) -> None:
        super().__init__(**node)
        self.plugin = plugin

    def collect(self) -> Iterator["CheckItem"]:
        """Yield the checks of the plugin as such, and those of each component."""
        try:
            as_such = PluginCase(self.plugin)
            yield from self._items(as_such, "plugins")
            for entry in as_such.entries():
                for case in catalogue.cases_of(entry):
                    yield from self._items(case, entry.kind)
        except InarchError as error:
            raise self.CollectError(str(error)) from None

    def _items(self, case: Case, kind: str) -> Iterator["CheckItem"]:
        catalogue.refuse_unknown(list(case.expected_failed_checks), kind, case.whose)
        for check in catalogue.planned(case):
            item: CheckItem = CheckItem.from_parent(self, name=f"{case.label}: {check.name}", case=case, check=check)
            if check.name in case.expected_failed_checks:
                item.add_marker(expected_to_fail(case.expected_failed_checks[check.name]))
            yield item


class CheckItem(pytest.Item):
    """One check of one case."""

    def __init__(self, case: Case, check: Check, **node: Any) -> None:
        super().__init__(**node)
        self.case, self.check = case, check

    def runtest(self) -> None:
        """Run the check."""
        run(self.check, self.case)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say which contract is broken; the kit's own frames help nobody."""
        if isinstance(excinfo.value, Violation):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say where it comes from: no file, but the plugin's name."""
        return self.config.rootpath / self.nodeid.split("::", 1)[0], None, self.name


def run(check: Check, case: Case) -> None:
    """Run a check of a case in pytest; one that has nothing to try is skipped."""
    __tracebackhide__ = True
    try:
        check(case)
    except Inapplicable as reason:
        pytest.skip(str(reason))


def expected_to_fail(reason: str) -> pytest.MarkDecorator:
    """Return the mark of a check that is known to fail; if it passes, that is a failure."""
    return pytest.mark.xfail(reason=reason, strict=True, raises=Violation)
