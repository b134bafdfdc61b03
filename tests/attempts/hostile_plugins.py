"""Safe by default: plugins that raise or exit in each hook, in a run or before it, and are named."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from attempts.case import Case
from attempts.case_small_runs import trained
from attempts.hostile import SAFE

import inarch
from inarch import plugins


def cases(full: bool) -> list[Case]:
    """Return the attempts; in the suite with two of the exceptions."""
    few = EXCEPTIONS if full else EXCEPTIONS[:2]
    return [Case(SAFE, "plugins that fail in each hook", partial(failing_hooks, few))]


EXCEPTIONS = (ValueError("a\x1b[2Jb"), SystemExit(0), RecursionError("deep"), MemoryError(), inarch.RunError("mine"))


def _load(into: plugins.Plugins, *told: str) -> None:
    plugin = plugins.Plugin(*told)
    assert into.note(plugin)
    into.load(plugin)


def failing_hooks(exceptions: Sequence[BaseException], folder: Path) -> int:
    count = 0
    registers = [f"register_{kind}" for kind in (*plugins.KINDS, "commands")]
    for hook, error in ((hook, error) for hook in registers for error in exceptions):
        found = plugins.Plugins()
        _load(found, "core", "inarch.builtin", "inarch", "1")
        with _module(hook, error) as name:
            _load(found, "evil", name, "evil-dist", "6.6")
            if hook == "register_commands":
                from inarch.cli import extra

                extra.loaded, kept = lambda found=found: found, extra.loaded
                assert extra.commands(()) == {}
                extra.loaded = kept
        reason = found.known["evil"].error or ""
        assert type(error).__name__ in reason and reason.isprintable(), (hook, reason)
        assert found.known["core"].error is None and "accuracy" in found.components["metrics"]
        count += 1
    expected = trained(folder)
    for hook in ("on_train_begin", "on_epoch_end", "on_train_end"):
        for number, error in enumerate(exceptions):
            _fails_and_resumes(folder, folder / f"{hook}{number}", hook, error, expected)
            count += 1
    return count


def _fails_and_resumes(folder: Path, out: Path, hook: str, error: BaseException, expected: Path) -> None:
    """A run that a plugin ends says which; without the plugin it goes on to the same result."""
    with _module(hook, error) as name:
        _load(plugins.loaded(), "evil", name, "evil-dist", "6.6")
        try:
            inarch.train(folder / "toy.yaml", out=out)
            raise AssertionError(f"{hook} failed, and nobody was told")
        except inarch.InarchError as told:
            words = str(told)
        finally:
            plugins.loaded().remove("evil")
    assert words.isprintable(), words
    assert isinstance(error, inarch.InarchError) or f"plugin 'evil' (evil-dist 6.6): {hook} failed" in words, words
    if hook != "on_train_end":
        inarch.train(folder / "toy.yaml", out=out, resume=True)
    for file in ("metrics.jsonl", "model/model.safetensors"):
        assert (out / file).read_bytes() == (expected / file).read_bytes(), (hook, file)
    assert (out / "results.json").exists()


class _module:
    """A module whose only hook raises."""

    def __init__(self, hook: str, error: BaseException) -> None:
        self.name = f"evil_{hook}"
        parameter = {"register_commands": "cli"}.get(hook, "register" if hook.startswith("register") else "run")
        scope: dict[str, Any] = {"error": error, "hookimpl": inarch.hookimpl}
        exec(f"@hookimpl\ndef {hook}({parameter}):\n    print('x' * 1_000_000)\n    raise error\n", scope)
        self.module = ModuleType(self.name)
        setattr(self.module, hook, scope[hook])

    def __enter__(self) -> str:
        sys.modules[self.name] = self.module
        return self.name

    def __exit__(self, *_: object) -> None:
        del sys.modules[self.name]
