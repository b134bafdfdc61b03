"""What the conformance kit tries the components with: `pytest --inarch-plugin {{cookiecutter.plugin}}`.

Light; nothing else calls these. A component without required options of which the kit can guess the rest needs none.
"""

from inarch import Targets, Trial


def convolution() -> list[Trial]:
    """Return a small network, and one with noise; series as unlike as real ones are, and what is no series."""
    inputs = [[0.5, -1.0, 2.0, 0.0, 1.5, -0.5, 3.0], "1 2 4 8 16 32", "0.5, -0.5", [7], [3.0] * 40, [1e30, -1e30]]
    refused = ["", [], "one two", [1.0, float("nan")], [1.0, None], 7, None]
    return [
        Trial(options={"width": 8, "depth": 2}, inputs=inputs, refused=refused),
        Trial(name="noise", options={"width": 8, "depth": 2, "dropout": 0.1, "noise": 0.5}, inputs=inputs),
    ]


def ordinal() -> Trial:
    """Return targets of three ordered classes, and truths as a data set has them."""
    values = {"low": 0, "medium": 1, "high": 2}
    targets = Targets("classes", tuple(values), {"train": [2, 1, 2]}, {"values": values})
    return Trial(targets=targets, truths=["low", "high", "medium", "high", "low"])
