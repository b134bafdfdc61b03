"""Every hook that a plugin can answer, on one page; `inarch plugins hooks` prints it.

A plugin is a module with an entry point in the group ``inarch``; it answers a hook by a function of the same name under
``@inarch.hookimpl``. Hooks only gain arguments within a major version. A hookimpl's parameters have no defaults: some
versions of pluggy never pass a value to a parameter that has one.

Every command imports every plugin. So importing one, and asking it what it registers, brings no heavy library, reaches
for no network, prints nothing, writes no file, starts no thread or process, and leaves the process as it was: working
directory, environment, random generators, warnings, logging, signals. It registers the same in every process.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from inarch.specification import hookspec

if TYPE_CHECKING:
    from inarch.cli.lazy import Commands
    from inarch.interfaces.run import Run

hookimpl = pluggy.HookimplMarker("inarch")

Register = Callable[..., None]
"""`register(name, build, **facts)`: `name` is what a recipe writes, the keyword-only parameters of `build` are what a
recipe may write beside it, their annotations are the types, the docstring is what `inarch list` prints. The positional
parameters of `build`, if any, are what the core hands over."""


# Components.


@hookspec(since="0.1")
def register_backbones(register: Register) -> None:
    """Register `build(*, option, ...) -> Backbone`.

    Called:
        once in every process, when plugins are loaded

    Arguments:
        register: `register(name, build, **facts)`

    Facts:
        domain: a word for the inputs: image, text, audio, timeseries
        verify: `verify(raw)` raises ValueError saying why an input cannot be read, without loading anything heavy
        starter: `starter()` returns the fragment of a recipe that `inarch init DATA --domain PLUGIN` writes
        candidates: `candidates()` returns each `Candidate` that `inarch rank` knows by name
        keeps: names of options about the data, which another model would have as well
        trial: `trial()` returns the `Trial`, or several, that the conformance kit tries it with

    Example:
        @hookimpl
        def register_backbones(register):
            register("seismic_convolution", builders.convolution, domain="timeseries", verify=builders.verify)
    """


@hookspec(since="0.1")
def register_heads(register: Register) -> None:
    """Register `build(targets, num_features, *, option, ...) -> Head`.

    Called:
        once in every process, when plugins are loaded

    Arguments:
        register: `register(name, build, **facts)`; `build` is given `Targets` and the number of features, D

    Facts:
        read: `read(dataset)`, or `read(dataset, options)`, turns the target column into `Targets`
        verify: `verify(targets, options)` raises ValueError, starting with an option's name, where that option does not
            fit the targets
        trained: False for one that a `fit` makes and steps cannot train
        trial: `trial()` returns the `Trial`, or several, that the conformance kit tries it with

    Example:
        @hookimpl
        def register_heads(register):
            register("seismic_ordinal", builders.ordinal, read=targets.read_ordered)
    """


@hookspec(since="0.1")
def register_datasets(register: Register) -> None:
    """Register `build(*, option, ...) -> Dataset`.

    Called:
        once in every process, when plugins are loaded

    Arguments:
        register: `register(name, build, **facts)`

    Facts:
        trial: `trial()` returns the `Trial`, or several, that the conformance kit tries it with

    Example:
        @hookimpl
        def register_datasets(register):
            register("seismic_waves", builders.waves)
    """


@hookspec(since="0.1")
def register_metrics(register: Register) -> None:
    """Register `build(targets, *, option, ...) -> torchmetrics.Metric`.

    A metric that compares examples with each other has `resampled(scores, targets, draws) -> list[float]`, which its
    interval is made of: its value on each draw (an array of example numbers), where copies of one example are not
    compared.

    Called:
        once in every process, when plugins are loaded

    Arguments:
        register: `register(name, build, **facts)`; `build` is given `Targets`

    Facts:
        kinds: the kinds of targets (`Targets.kind`) that it measures
        larger_is_better: False for errors
        verify: `verify(targets, options)` raises ValueError, starting with an option's name, where that option does not
            fit the targets
        trial: `trial()` returns the `Trial`, or several, that the conformance kit tries it with

    Example:
        @hookimpl
        def register_metrics(register):
            register("seismic_distance", builders.distance, kinds=("classes",), larger_is_better=False)
    """


@hookspec(since="0.1")
def register_strategies(register: Register) -> None:
    """Register `build(*, option, ...) -> Strategy`.

    Called:
        once in every process, when plugins are loaded

    Arguments:
        register: `register(name, build, **facts)`

    Facts:
        trial: `trial()` returns the `Trial`, or several, that the conformance kit tries it with

    Example:
        @hookimpl
        def register_strategies(register):
            register("seismic_last_layers", builders.last_layers)
    """


@hookspec(since="0.1")
def register_commands(cli: "Commands") -> None:
    """Add commands to the command line; the built-in verbs cannot be replaced, and of two of one name neither is used.

    Called:
        when the command line looks for a command that is no verb of its own, or writes its help page

    Arguments:
        cli: an `inarch.Commands`, a `click.Group`; its `add_lazy(name, "module:attribute", line)` adds a command that
            is imported when it is used, so that the help page stays fast

    Example:
        @hookimpl
        def register_commands(cli):
            cli.add_lazy("seismic-fetch", "inarch_seismic.fetching:command", "Fetch recordings of a station.")
    """


# The life of a run. Called on the main process only, with plain floats; they observe and never steer.


@hookspec(since="0.1")
def on_train_begin(run: "Run") -> None:
    """The run directory exists, data and model are built, no step has been taken.

    Called:
        on the main process, once in a training and again when it is resumed

    Arguments:
        run: `Run`: the directory, the recipe with every default, the classes, the environment

    Example:
        @hookimpl
        def on_train_begin(run):
            print("training", run.recipe.name, "in", run.directory)
    """


@hookspec(since="0.1")
def on_epoch_end(run: "Run", epoch: int, metrics: Mapping[str, float]) -> None:
    """An epoch (counted from 1) has been trained and, where due, evaluated.

    Called:
        on the main process, after every epoch; where a head is fitted to stored features, once after that

    Arguments:
        run: as in `on_train_begin`
        epoch: counted from 1, over all phases of the strategy
        metrics: `loss`, the mean of the epoch; where valid was measured `valid_loss`, `valid_accuracy`, ...

    Example:
        @hookimpl
        def on_epoch_end(run, epoch, metrics):
            (run.directory / "progress.txt").write_text(f"epoch {epoch}: {dict(metrics)}")
    """


@hookspec(since="0.1")
def on_train_end(run: "Run", metrics: Mapping[str, Any]) -> None:
    """The bundle is written; `metrics` are those of the test split, or of valid where there is no test split.

    Called:
        on the main process, once, when a training is over; not where it was interrupted or failed

    Arguments:
        run: as in `on_train_begin`
        metrics: the value of each metric of the recipe, by its name

    Example:
        @hookimpl
        def on_train_end(run, metrics):
            print(run.recipe.name, metrics)
    """
