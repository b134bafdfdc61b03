"""What a recipe may write: one builder a component. Light: the modules that import torch are imported when needed.

The keyword-only parameters of a builder are the keys that a recipe may write beside `name`, their annotations are
checked before anything heavy happens, and `inarch list` prints the docstring. Positional parameters are what inarch
hands over.
"""

from typing import TYPE_CHECKING, Annotated, Any

from inarch import Dataset, Range, Strategy, Targets

from {{cookiecutter.package}}.series import read_series

if TYPE_CHECKING:  # for type checkers alone: at run time these bring torch
    from inarch import Backbone, Head
    from torchmetrics import Metric

Size = Annotated[int, Range(least=1)]


def convolution(
    *,
    weights: str = "none",
    width: Size = 32,
    depth: Size = 3,
    dropout: Annotated[float, Range(least=0, below=1)] = 0.0,
    noise: Annotated[float, Range(least=0)] = 0.0,
) -> "Backbone":
    """A small convolutional network over a series of numbers, of any length.

    weights: `none` is random; a run of this backbone lends it its own; else a file, or package:DISTRIBUTION/FILE.
    width: features of each step, and of the series.
    depth: layers; each halves the number of steps.
    dropout: share of features dropped after each layer in training.
    noise: deviation of the noise added to a series in training, where its own deviation is 1.
    """
    from {{cookiecutter.package}}.backbones import Convolution

    return Convolution(weights, width, depth, dropout, noise)


def ordinal(targets: Targets, num_features: int, *, dropout: Annotated[float, Range(least=0, below=1)] = 0.0) -> "Head":
    """Choose one of several classes that have an order: small, medium, large (the proportional odds model).

    One direction in the features is learnt, and the places on it where one class ends and the next begins (McCullagh,
    Regression models for ordinal data, 1980). `dataset.classes` says the order; else names are sorted.

    dropout: share of features dropped before it.
    """
    from {{cookiecutter.package}}.heads import Ordinal

    return Ordinal(targets, num_features, dropout)


def waves(*, examples: Annotated[int, Range(least=6)] = 300, seed: int = 0) -> Dataset:
    """Make series of numbers: a wave that is slow, medium or fast, in noise. They are the same for the same seed.

    Columns: `series`; `tempo`, the target; `source`, of which there are several with a wave form of their own.

    examples: how many series.
    seed: another seed makes other series.
    """
    from {{cookiecutter.package}}.datasets import make_waves

    return make_waves(examples, seed)


def distance(targets: Targets) -> "Metric":
    """How many classes an answer is off, where classes have an order: a mean over the examples, then over classes."""
    from {{cookiecutter.package}}.metrics import Distance

    return Distance(len(targets.classes))


def last_layers(*, layers: Size = 1, head_multiplier: Annotated[float, Range(above=0)] = 10.0) -> Strategy:
    """Train the backbone's last layers and the head; the layers before them stay as they are.

    layers: how many of the backbone's layers are trained.
    head_multiplier: the head's rate over `train.learning_rate`.
    """
    from {{cookiecutter.package}}.strategies import LastLayers

    return LastLayers(layers, head_multiplier)


def verify(raw: Any) -> None:
    """Raise ValueError saying why a raw example cannot be read. `inarch check` asks this of every example."""
    read_series(raw)


def starter() -> dict[str, Any]:
    """Return the part of a recipe that `inarch init DATA --domain {{cookiecutter.plugin}}` adds."""
    return {
        "backbone": {"name": "{{cookiecutter.plugin}}_convolution"},
        "strategy": {"name": "full", "head_multiplier": 10},
        "train": {"epochs": 20, "batch_size": 32, "learning_rate": 0.01},
    }
