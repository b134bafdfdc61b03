"""What a recipe may write for metrics of sound events. Light: torchmetrics is imported when one is built."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from inarch import Range, Targets, unknown

if TYPE_CHECKING:
    from torchmetrics import Metric

Seconds = Annotated[float, Range(least=0)]
Share = Annotated[float, Range(least=0, most=1)]


def event_f1(targets: Targets, *, onset: Seconds = 0.2, offset: Share = 0.2, label: str | None = None) -> "Metric":
    """F1 of sound events, micro: one is right if its label is, and start and end are near (doi 10.3390/app6060162).

    The defaults are those of DCASE. As many events are paired with true ones, one with one, as can be.

    onset: how far a start may be off, in seconds; an end may be, too.
    offset: how far an end may be off, as a share of the true event's length, where that is more.
    label: count the events of this label alone.
    """
    from inarch_audio.event_metric_modules import EventF1

    return EventF1(targets.details["values"], onset, offset, label)


def verify_events(targets: Targets, options: Mapping[str, Any]) -> None:
    """Raise ValueError if the targets have no start and end, or no event has the label."""
    if targets.details["form"] != "segments":
        raise ValueError("event_f1 needs events {start, end, label} in seconds, but the targets are tags, one per unit")
    if options["label"] is not None and options["label"] not in targets.classes:
        raise ValueError(f"label {unknown('label', options['label'], targets.classes)}")
