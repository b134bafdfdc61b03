"""The pytest plugin: ``pytest --inarch-plugin NAME``. It is in everybody's pytest, so it imports nothing until asked.

On the command line without paths, the kit runs alone; with paths, or with the option in `addopts`, beside the tests.
"""

from collections.abc import Generator

import pytest

_OPTION = "--inarch-plugin"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("inarch", "conformance of plugins of inarch").addoption(
        _OPTION,
        action="append",
        default=[],
        metavar="NAME",
        dest="inarch_plugins",
        help="check everything that this plugin of inarch registers (its name, module or distribution); repeatable",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Leave out the tests of the current folder where only the kit was asked for."""
    if not config.getoption("inarch_plugins"):
        return
    typed = any(str(argument).split("=", 1)[0] == _OPTION for argument in config.invocation_params.args)
    if typed and config.args_source is not config.ArgsSource.ARGS:
        config.args = []


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Add a collector for each plugin that was asked for to those of the session."""
    report = yield
    names = collector.config.getoption("inarch_plugins")
    if names and collector is collector.session and report.result is not None:
        from inarch.testing.collection import collectors

        report.result = [*collectors(collector.session, names), *report.result]
    return report
