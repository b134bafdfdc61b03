"""Time series for inarch: tables of series, windows that do not leak, a patch transformer, forecasts, scaled errors."""

from inarch import Register, hookimpl

from inarch_timeseries import builders, targets, trials


@hookimpl
def register_backbones(register: Register) -> None:
    """Register the patch transformer."""
    register(
        "patches",
        builders.patches,
        domain="timeseries",
        verify=builders.verify,
        keeps=("context",),
        trial=trials.patches,
    )


@hookimpl
def register_heads(register: Register) -> None:
    """Register the forecast."""
    register("forecast", builders.forecast, read=targets.read_futures, trial=trials.forecast)


@hookimpl
def register_datasets(register: Register) -> None:
    """Register windows of a table of series."""
    register("series", builders.series, trial=trials.series)


@hookimpl
def register_metrics(register: Register) -> None:
    """Register the scaled error."""
    register("mase", builders.mase, kinds=("futures",), larger_is_better=False, trial=trials.mase)
