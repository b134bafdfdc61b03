"""Tables of features whose numbers tell where they stand; also for scripts that tests start."""

from typing import Any

import numpy as np

from inarch.features.store import Store, Table

ABOUT = {"backbone": "plugin.Backbone", "weights": "0123"}


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def rows_of(numbers: range, width: int = 4) -> tuple[list[bytes], np.ndarray[Any, Any]]:
    """Keys, and values of which every number tells where it stands."""
    values = np.array([[1000 * number + column for column in range(width)] for number in numbers], np.float32)
    return [key(number) for number in numbers], values


def filled(store: Store, *parts: range) -> Table:
    table = store.table(ABOUT)
    for part in parts:
        table.write(*rows_of(part))
    return store.table(ABOUT)
