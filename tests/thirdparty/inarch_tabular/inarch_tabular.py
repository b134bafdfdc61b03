"""Tables of numbers for inarch, a whole plugin in one file: scikit-learn's tables, and a network over their rows."""

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from inarch import Dataset, Range, Register, Rows, Trial, hookimpl

if TYPE_CHECKING:
    from inarch import Backbone

Size = Annotated[int, Range(least=1)]


def mlp(*, columns: Size, weights: str = "none", width: Size = 32, depth: Size = 2) -> "Backbone":
    """A network of linear layers over a row of numbers, which a batch norm brings to one scale.

    columns: numbers of a row. weights: `none` is random; else a run, or a file. width: of each layer. depth: layers.
    """
    import torch
    from inarch import Backbone, Features, load_strictly, read_state
    from torch import nn

    class Mlp(Backbone):
        domain, provides = "tabular", frozenset({"pooled"})

        def __init__(self) -> None:
            super().__init__()
            self.num_features = width
            self.resolved = {"columns": columns, "weights": weights, "width": width, "depth": depth}
            self.scale = nn.BatchNorm1d(columns)
            sizes = [columns, *[width] * depth]
            self.blocks = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))

        def load_weights(self) -> None:
            if weights != "none":
                load_strictly(self, read_state(weights), weights)

        def transform(self, training: bool) -> Any:
            return _Row(columns)

        def forward(self, **batch: torch.Tensor) -> Features:
            hidden = self.scale(batch["row"])
            for block in self.blocks:
                hidden = torch.relu(block(hidden))
            return Features(pooled=hidden)

    return Mlp()


class _Row:
    def __init__(self, columns: int) -> None:
        self.columns = columns

    def __call__(self, raw: Any) -> dict[str, Any]:
        import torch

        verify(raw)
        if len(raw) != self.columns:
            raise ValueError(f"expected {self.columns} numbers, found {len(raw)}")
        return {"row": torch.tensor([float(value) for value in raw])}


def sklearn_table(*, table: Literal["breast_cancer", "wine", "diabetes"]) -> Dataset:
    """A table that scikit-learn ships; `row` is the input, `target` the name of the class, or a number (diabetes).

    table: breast_cancer (569 x 30, two classes), wine (178 x 13, three), diabetes (442 x 10, a number).
    """
    from sklearn import datasets

    found = getattr(datasets, f"load_{table}")()
    names = found.get("target_names")
    targets = [float(value) if names is None else str(names[value]) for value in found.target]
    rows = Rows({"row": [tuple(row) for row in found.data.tolist()], "target": targets}, f"{table}, row {{}}".format)
    return Dataset({"train": rows}, "row", "target", origin=f"scikit-learn's {table}")


def verify(raw: Any) -> None:
    """Raise ValueError unless a raw input is a list of numbers."""
    if not isinstance(raw, list | tuple) or not raw:
        raise ValueError(f"expected a list of numbers, found {str(raw)[:50]!r}")
    for value in raw:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"expected numbers, found {str(value)[:50]!r}")


def mlp_trial() -> Trial:
    """Return a small network and rows of three numbers."""
    inputs = [[1.0, 2.0, 3.0], (-4, 5.5, 0), [0.0, 0.0, 0.0], [1e6, -1e6, 1e-6]]
    return Trial(options={"columns": 3, "width": 8}, inputs=inputs, refused=[[1.0], "1 2 3", [], [1, 2, "x"], None])


def table_trial() -> Trial:
    """Return the smallest table."""
    return Trial(options={"table": "wine"})


@hookimpl
def register_backbones(register: Register) -> None:
    """Register the network."""
    register("mlp", mlp, domain="tabular", verify=verify, trial=mlp_trial)


@hookimpl
def register_datasets(register: Register) -> None:
    """Register scikit-learn's tables."""
    register("sklearn_table", sklearn_table, trial=table_trial)
