"""The lifecycle hooks: on the main process, with plain floats; they observe and never steer."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import inarch
from inarch import plugins
from inarch.checkpoint import file_hash
from inarch.plugins import Plugin


class Observer:
    """A plugin that notes what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    @inarch.hookimpl
    def on_train_begin(self, run: inarch.Run) -> None:
        torch.rand(5)
        self.seen.append(("begin", run))

    @inarch.hookimpl
    def on_epoch_end(self, run: inarch.Run, epoch: int, metrics: Mapping[str, float]) -> None:
        torch.rand(epoch)  # must not change the dropout of the next step
        self.seen.append(("epoch", (epoch, dict(metrics))))
        metrics["loss"] = 0.0  # type: ignore[index]

    @inarch.hookimpl
    def on_train_end(self, metrics: Mapping[str, float]) -> None:
        self.seen.append(("end", dict(metrics)))


@pytest.fixture
def observer() -> Iterator[Observer]:
    found = Observer()
    plugins.loaded().add(Plugin("observer", "tests", "observer-dist", "1"), found)
    yield found
    plugins.loaded().remove("observer")


def test_hooks_are_told_of_begin_every_epoch_and_end_with_plain_floats(
    toy_recipe: Path, tmp_path: Path, observer: Observer
) -> None:
    result = inarch.train(toy_recipe, out=tmp_path / "run")
    assert [name for name, _ in observer.seen] == ["begin", "epoch", "epoch", "end"]
    run = observer.seen[0][1]
    assert (run.directory, run.classes) == (tmp_path / "run", ("cold", "warm"))
    assert [fact[0] for name, fact in observer.seen if name == "epoch"] == [1, 2]
    for metrics in [observer.seen[1][1][1], observer.seen[2][1][1], observer.seen[3][1]]:
        assert metrics and all(type(value) is float for value in metrics.values())
    assert set(observer.seen[1][1][1]) == {"loss", "valid_loss", "valid_accuracy"}
    assert observer.seen[3][1] == {"accuracy": result.metrics["accuracy"].value}


def test_hooks_do_not_change_the_training(toy_recipe: Path, tmp_path: Path, observer: Observer) -> None:
    inarch.train(toy_recipe, {"backbone.dropout": 0.3}, out=tmp_path / "observed")
    observer.on_train_begin = observer.on_epoch_end = None  # type: ignore[assignment]
    plugins.loaded().remove("observer")
    inarch.train(toy_recipe, {"backbone.dropout": 0.3}, out=tmp_path / "alone")
    plugins.loaded().add(Plugin("observer", "tests", "observer-dist", "1"), Observer())
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert file_hash(tmp_path / "observed" / name) == file_hash(tmp_path / "alone" / name)


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_end", "on_train_end"])
def test_a_hook_that_fails_is_an_error_that_names_the_plugin(toy_recipe: Path, tmp_path: Path, hook: str) -> None:
    def failing(run: inarch.Run) -> None:
        raise ZeroDivisionError("by accident")

    failing.__name__ = hook
    plugins.loaded().add(
        Plugin("clumsy", "tests", "clumsy-dist", "3"), SimpleNamespace(**{hook: inarch.hookimpl(failing)})
    )
    try:
        with pytest.raises(
            inarch.PluginError, match=rf"plugin 'clumsy' \(clumsy-dist 3\): {hook} failed: ZeroDivision"
        ):
            inarch.train(toy_recipe, out=tmp_path / "run")
    finally:
        plugins.loaded().remove("clumsy")
