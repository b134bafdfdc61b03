"""The data set: series that are made, so that the plugin can be tried without a network or a file.

One that reads files of yours hands over the same: columns, and a `where` that names file and line of a row, for inarch
quotes it whenever something is wrong with that row. Columns are Arrow's: loader workers share their memory, and whoever
changes a row that was read changes nothing.
"""

import math
import random

import pyarrow as pa
from inarch import Dataset, Rows

TEMPI = {"slow": 40.0, "medium": 20.0, "fast": 10.0}
"""Steps from crest to crest, give or take a quarter."""
SOURCES = 12


def make_waves(examples: int, seed: int) -> Dataset:
    """Return `examples` series of 40 to 120 numbers, each from one of 12 sources, as many of each tempo."""
    generator = random.Random(seed)  # of its own: the global generators are not a data set's to move
    overtones = [generator.uniform(0, 0.5) for _ in range(SOURCES)]
    names = [list(TEMPI)[index % len(TEMPI)] for index in range(examples)]
    sources = [index // len(TEMPI) % SOURCES for index in range(examples)]
    columns = {
        "series": [_wave(generator, TEMPI[name], overtones[at]) for name, at in zip(names, sources, strict=True)],
        "tempo": names,
        "source": [f"source_{at}" for at in sources],
    }
    rows = Rows(
        {name: pa.array(values) for name, values in columns.items()},
        where=(f"waves of seed {seed}, row " + "{}").format,  # no lambda, for a process that is spawned gets it pickled
    )
    # The recipe's `splits` cuts valid and test from train, and never through a group. `classes` says their order.
    return Dataset(
        splits={"train": rows},
        input="series",
        target="tempo",
        group="source",
        classes={name: [name] for name in TEMPI},
        origin=f"{examples} waves of seed {seed}",
    )


def _wave(generator: random.Random, steps: float, overtone: float) -> list[float]:
    speed = 2 * math.pi / (steps * generator.uniform(0.75, 1.25))
    start, size = generator.uniform(0, 2 * math.pi), generator.uniform(0.5, 2.0)
    return [
        size * (math.sin(start + speed * at) + overtone * math.sin(2 * (start + speed * at))) + generator.gauss(0, 0.5)
        for at in range(generator.randint(40, 120))
    ]
