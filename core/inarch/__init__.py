"""inarch: transfer learning with plugins. This module is the public door; it imports nothing until a name is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inarch.addresses import absolute as absolute
    from inarch.addresses import find_model as find_model
    from inarch.addresses import locate as locate
    from inarch.builtin.segments import find_segments as find_segments
    from inarch.builtin.segments import write_tags as write_tags
    from inarch.bundle import load as load
    from inarch.cli.lazy import Commands as Commands
    from inarch.data.folder import split_files as split_files
    from inarch.data.reading import open_text as open_text
    from inarch.errors import DataError as DataError
    from inarch.errors import InarchError as InarchError
    from inarch.errors import PluginError as PluginError
    from inarch.errors import RecipeError as RecipeError
    from inarch.errors import RunError as RunError
    from inarch.errors import WeightsError as WeightsError
    from inarch.errors import unknown as unknown
    from inarch.hookspecs import Register as Register
    from inarch.hookspecs import hookimpl as hookimpl
    from inarch.interfaces.backbone import Backbone as Backbone
    from inarch.interfaces.backbone import Features as Features
    from inarch.interfaces.backbone import Window as Window
    from inarch.interfaces.candidate import Candidate as Candidate
    from inarch.interfaces.dataset import Dataset as Dataset
    from inarch.interfaces.dataset import Rows as Rows
    from inarch.interfaces.dataset import Stream as Stream
    from inarch.interfaces.dataset import Targets as Targets
    from inarch.interfaces.head import Head as Head
    from inarch.interfaces.run import Run as Run
    from inarch.interfaces.strategy import Phase as Phase
    from inarch.interfaces.strategy import Strategy as Strategy
    from inarch.interfaces.strategy import Trained as Trained
    from inarch.interfaces.trial import Trial as Trial
    from inarch.recipe import Train as Train
    from inarch.schema import Address as Address
    from inarch.schema import Range as Range
    from inarch.silence import quiet as quiet
    from inarch.training.progress import Progress as Progress
    from inarch.weights import load_strictly as load_strictly
    from inarch.weights import read_state as read_state
    from inarch.workflows.compare import Comparison as Comparison
    from inarch.workflows.compare import compare as compare
    from inarch.workflows.rank import rank as rank
    from inarch.workflows.train import train as train

_HOME = {
    "Address": "inarch.schema",
    "Backbone": "inarch.interfaces.backbone",
    "Candidate": "inarch.interfaces.candidate",
    "Commands": "inarch.cli.lazy",
    "Comparison": "inarch.workflows.compare",
    "DataError": "inarch.errors",
    "Dataset": "inarch.interfaces.dataset",
    "Features": "inarch.interfaces.backbone",
    "Head": "inarch.interfaces.head",
    "InarchError": "inarch.errors",
    "Phase": "inarch.interfaces.strategy",
    "PluginError": "inarch.errors",
    "Progress": "inarch.training.progress",
    "Range": "inarch.schema",
    "RecipeError": "inarch.errors",
    "Register": "inarch.hookspecs",
    "Rows": "inarch.interfaces.dataset",
    "Run": "inarch.interfaces.run",
    "RunError": "inarch.errors",
    "Strategy": "inarch.interfaces.strategy",
    "Stream": "inarch.interfaces.dataset",
    "Targets": "inarch.interfaces.dataset",
    "Train": "inarch.recipe",
    "Trained": "inarch.interfaces.strategy",
    "Trial": "inarch.interfaces.trial",
    "WeightsError": "inarch.errors",
    "Window": "inarch.interfaces.backbone",
    "absolute": "inarch.addresses",
    "compare": "inarch.workflows.compare",
    "find_model": "inarch.addresses",
    "find_segments": "inarch.builtin.segments",
    "hookimpl": "inarch.hookspecs",
    "load": "inarch.bundle",
    "load_strictly": "inarch.weights",
    "locate": "inarch.addresses",
    "open_text": "inarch.data.reading",
    "quiet": "inarch.silence",
    "rank": "inarch.workflows.rank",
    "read_state": "inarch.weights",
    "split_files": "inarch.data.folder",
    "train": "inarch.workflows.train",
    "unknown": "inarch.errors",
    "write_tags": "inarch.builtin.segments",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'inarch' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
