"""What the conformance kit tries the components with. Light, and called by nothing else."""

import math

from inarch import Targets, Trial


def _wave(steps: int, channels: int = 1, offset: float = 0.0) -> list[list[float]]:
    return [[offset + math.sin(step / (2 + channel)) for channel in range(channels)] for step in range(steps)]


def patches() -> list[Trial]:
    """Return a tiny transformer; windows that are long, flat, loud or far from zero."""
    options = {"context": 12, "patch": 3, "width": 8, "depth": 2, "attention_heads": 2}
    inputs = [_wave(12), _wave(40, offset=1e4), [5.0] * 12, [1e6 * (-1) ** step for step in range(12)], list(range(12))]
    refused = [_wave(11), "1 2 3", [], [*_wave(11), [math.nan]], [*_wave(11), [1.0, 2.0]], None, [None] * 12]
    several = [_wave(12, 3), _wave(30, 3, 7.0), _wave(13, 3, -2.0)]
    return [
        Trial(options=options, inputs=inputs, refused=refused),
        Trial(name="three channels, overlapping", options={**options, "stride": 2, "dropout": 0.0}, inputs=several),
    ]


def _futures() -> list[dict[str, object]]:
    return [{"values": [[1.0 + number], [2.0], [0.5 * number]], "unit": [0.5 + number]} for number in range(4)]


def forecast() -> Trial:
    """Return futures of three steps and one channel."""
    return Trial(targets=Targets("futures", details={"horizon": 3, "channels": 1}), truths=_futures())


def mase() -> Trial:
    """Return the same with forecasts that are right."""
    targets = Targets("futures", details={"horizon": 3, "channels": 1})
    return Trial(targets=targets, truths=_futures(), answers=[{"forecast": one["values"]} for one in _futures()])


def series() -> Trial:
    """Return a table of three series, one with a gap."""
    rows = [
        f"{name},{','.join(f'{math.sin(step + place):.3f}' for step in range(40))}" for place, name in enumerate("ab")
    ]
    rows.append("c," + ",".join("" if step == 20 else str(step**2 % 43) for step in range(40)))
    table = "\n".join([f"name,{','.join(map(str, range(40)))}", *rows])
    options = {"path": "table.csv", "context": 6, "horizon": 2, "layout": "rows", "label": "name"}
    return Trial(options=options, files={"table.csv": table})
