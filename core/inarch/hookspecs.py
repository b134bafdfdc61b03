"""Every hook that a plugin can answer, on one page.

A plugin is a module with an entry point in the group ``inarch``; it answers a hook by a function of the same name under
``@inarch.hookimpl``. Hooks only gain arguments within a major version. A hookimpl's parameters have no defaults: some
versions of pluggy never pass a value to a parameter that has one.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from inarch.interfaces.run import Run

hookspec = pluggy.HookspecMarker("inarch")
hookimpl = pluggy.HookimplMarker("inarch")

Register = Callable[..., None]

# Components. `register(name, build, **facts)`: `name` is what a recipe writes, the keyword-only parameters of `build`
# are what a recipe may write beside it, their annotations are the types, the docstring is what `inarch list` prints.
# The positional parameters of `build`, if any, are what the core hands over.


@hookspec
def register_backbones(register: Register) -> None:
    """Register `build(*, option, ...) -> Backbone`.

    Facts: `domain`, a word; `verify(raw)`, which raises ValueError saying why an input cannot be read, without loading
    anything heavy; `starter()`, the fragment of a recipe that `inarch init` writes; `candidates()`, which returns each
    `Candidate` that `inarch rank` knows by name; `keeps`, options about the data that another model would have as well.
    """


@hookspec
def register_heads(register: Register) -> None:
    """Register `build(targets, num_features, *, option, ...) -> Head`.

    Facts: `read(dataset)`, or `read(dataset, options)`, which turns the target column into `Targets`;
    `verify(targets, options)`, which raises ValueError, starting with an option's name, where that option does not fit
    the targets; `trained=False` for one that a `fit` makes and steps cannot train.
    """


@hookspec
def register_datasets(register: Register) -> None:
    """Register `build(*, option, ...) -> Dataset`."""


@hookspec
def register_metrics(register: Register) -> None:
    """Register `build(targets, *, option, ...) -> torchmetrics.Metric`.

    Facts: `kinds` of targets that it measures; `larger_is_better`; `verify(targets, options)` as for heads. A metric
    that compares examples with each other has `resampled(scores, targets, draws) -> list[float]`, which its interval is
    made of: its value on each draw (an array of example numbers), where copies of one example are not compared.
    """


@hookspec
def register_strategies(register: Register) -> None:
    """Register `build(*, option, ...) -> Strategy`."""


@hookspec
def register_commands(cli: "click.Group") -> None:
    """Add commands to the command line; the built-in verbs cannot be replaced."""


# The life of a run. Called on the main process only, with plain floats; they observe and never steer.


@hookspec
def on_train_begin(run: "Run") -> None:
    """The run directory exists, data and model are built, no step has been taken."""


@hookspec
def on_epoch_end(run: "Run", epoch: int, metrics: Mapping[str, float]) -> None:
    """An epoch (counted from 1) has been trained and, where due, evaluated."""


@hookspec
def on_train_end(run: "Run", metrics: Mapping[str, Any]) -> None:
    """The bundle is written; `metrics` are those of the test split, or of valid where there is no test split."""
