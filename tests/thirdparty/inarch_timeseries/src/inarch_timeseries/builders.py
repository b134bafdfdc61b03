"""What a recipe may write. Light: torch, transformers and numpy are imported when a component is built."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from inarch import Address, Dataset, Range, Targets

from inarch_timeseries.windows import read_window

if TYPE_CHECKING:
    from inarch import Backbone, Head
    from torchmetrics import Metric

Size = Annotated[int, Range(least=1)]
Share = Annotated[float, Range(least=0, below=1)]


def patches(
    *,
    context: Annotated[int, Range(least=2)],
    weights: str = "none",
    patch: Size = 4,
    stride: Size | None = None,
    width: Size = 32,
    depth: Size = 2,
    attention_heads: Size = 4,
    dropout: Share = 0.1,
) -> "Backbone":
    """A transformer over patches of each channel (PatchTST, arXiv 2211.14730, as transformers has it).

    Channels share its weights and do not see each other, so it goes from a table with one channel to one with ten.
    Each window loses its last value and its deviation first, and `scale` says both: levels and units may be any.

    Args:
        context: Steps of a window.
        weights: `none` is random, for nobody publishes any of this size; else one's own run, runs/NAME, or a file.
        patch: Steps of a patch.
        stride: From one patch to the next; default: `patch`, so that they do not overlap.
        width: Features of a patch.
        depth: Layers.
        attention_heads: Of each layer.
        dropout: Probability, everywhere in the layers.
    """
    from inarch_timeseries.patches import Patches

    return Patches(
        context=context,
        weights=weights,
        patch=patch,
        stride=stride or patch,
        width=width,
        depth=depth,
        attention_heads=attention_heads,
        dropout=dropout,
    )


def forecast(targets: Targets, num_features: int, *, dropout: Share = 0.0) -> "Head":
    """The next steps of each channel, all at once, in the units of the input.

    Args:
        dropout: Probability, of features in front of the last layer.
    """
    from inarch_timeseries.forecast import Forecast

    return Forecast(targets, num_features, dropout)


def series(
    *,
    path: Annotated[str, Address()],
    context: Size,
    horizon: Size,
    layout: Literal["columns", "rows"] = "columns",
    values: list[str] | None = None,
    label: str | None = None,
    only: tuple[int, int] | None = None,
    season: Size = 1,
    stride: Size = 1,
    valid: Annotated[float, Range(above=0, below=1)] = 0.2,
    test: Annotated[float, Range(above=0, below=1)] = 0.2,
) -> Dataset:
    """Windows of the series in a csv file, split by time: what is forecast in test comes after all that was trained on.

    A window is `context` steps to see and `horizon` steps to forecast. Those of train are `stride` steps apart and end
    before the first step that valid forecasts; those of valid and test are `horizon` apart, so that each step is
    forecast once. Windows with a gap are left out and counted.

    Args:
        path: The csv file, or package:DISTRIBUTION/FILE.
        context: Steps that the backbone sees.
        horizon: Steps to forecast.
        layout: columns: a row is a step, and the columns are the channels of one series. rows: a row is a series of one
            channel, and the columns are the steps.
        values: The columns with numbers, in order; default: all whose name is one (1960, 1961, ...), or else all but
            `label`.
        label: The column that names the steps (layout columns) or the series (layout rows), for messages.
        only: Numbers of the first series and of the one after the last, from 0, where each row is one.
        season: Steps of a season: errors are measured against what was seen one season before.
        stride: Steps from one window of train to the next.
        valid: Share of the steps, before those of test, that valid forecasts.
        test: Share of the steps, the last ones, that test forecasts.
    """
    from inarch_timeseries.tables import read_series
    from inarch_timeseries.windows import cut

    read = read_series(path, layout, values, label, only)
    return cut(read, path, context, horizon, season, stride, (valid, test))


def mase(targets: Targets) -> "Metric":
    """Mean absolute scaled error (Hyndman and Koehler 2006): 1 is as wrong as the naive forecast was in training.

    The unit of an error is the mean absolute change of that series over one season, in the steps before valid.
    """
    from inarch_timeseries.mase import ScaledError

    return ScaledError()


def verify(raw: Any) -> None:
    """Raise ValueError saying what is wrong if a raw example is no window of numbers."""
    read_window(raw)
