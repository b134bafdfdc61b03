"""A plugin's hook that fails: what is on disk is whole, and the run goes on from it as if nothing had been."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import inarch
from inarch import plugins
from inarch.checkpoint import file_hash
from inarch.guard import Plugin


def failing_once(hook: str) -> SimpleNamespace:
    """Return a plugin whose hook raises when it is called for the first time."""
    calls: list[object] = []

    def fail(run: inarch.Run) -> None:
        calls.append(run)
        if len(calls) == 1:
            raise ZeroDivisionError("by accident")

    fail.__name__ = hook
    return SimpleNamespace(**{hook: inarch.hookimpl(fail)})


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_end"])
def test_a_run_goes_on_exactly_from_where_a_hook_failed(toy_recipe: Path, tmp_path: Path, hook: str) -> None:
    changes = {"backbone.dropout": 0.3, "train.epochs": 3}
    inarch.train(toy_recipe, changes, out=tmp_path / "whole")
    plugins.loaded().add(Plugin("clumsy", "tests", "clumsy-dist", "3"), failing_once(hook))
    try:
        with pytest.raises(inarch.PluginError, match="clumsy-dist 3"):
            inarch.train(toy_recipe, changes, out=tmp_path / "broken")
        inarch.train(toy_recipe, changes, out=tmp_path / "broken", resume=True)
    finally:
        plugins.loaded().remove("clumsy")
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert file_hash(tmp_path / "broken" / name) == file_hash(tmp_path / "whole" / name)
