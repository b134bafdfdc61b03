"""What importing a plugin does to a process, seen from inside one started for it. Light."""

import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from inarch.cli.lazy import Commands, Place
from inarch.guard import told
from inarch.registration import KINDS
from inarch.testing.check import Seen
from inarch.testing.surroundings import first_environment, offline

_SECONDS = 60
_TORCH_UNSEEDED = 67280421310721  # what torch's generator begins with
_STARTS = ("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "os.exec")
_CHANGES = ("os.mkdir", "os.rename", "os.truncate", "os.link", "os.symlink")
_REMOVES = ("os.remove", "os.rmdir")


@cache
def effects(module: str, hash_seed: int = 0) -> dict[str, Any]:
    """Return what importing a module and asking it what it registers did in a new process; see `main`."""
    paths = [path or os.getcwd() for path in sys.path]  # noqa: PTH109
    with TemporaryDirectory(prefix="inarch-probe-") as folder:
        report = Path(folder) / "report.json"
        (Path(folder) / "empty").mkdir()
        environment = {
            **first_environment(), "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": str(hash_seed),
        }  # fmt: skip
        environment.pop("PYTHONWARNINGS", None)
        command = [sys.executable, "-c", f"from {__name__} import main; main({module!r}, {str(report)!r})"]
        try:
            done = subprocess.run(
                command, cwd=Path(folder) / "empty", env=environment, capture_output=True, text=True, timeout=_SECONDS,
                check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Seen(f"importing {module} took more than {_SECONDS} seconds") from None
        if not report.exists():
            raise Seen(f"importing {module} ended the process with status {done.returncode}: {done.stderr[-500:]}")
        return {**json.loads(report.read_text(encoding="utf-8")), "printed": done.stdout + done.stderr}


def main(module: str, report: str) -> None:
    """Import a module, call its registering hooks, and write what that did as JSON."""
    for number in signal.valid_signals():  # what the tests' own process ignores is inherited
        if signal.getsignal(number) is signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
    found: dict[str, Any] = {
        "started": [],
        "written": [],
        "registered": [],
        "commands": [],
        "places": {},
        "error": None,
    }
    sys.addaudithook(partial(_note, found))
    modules, before = set(sys.modules), _state()
    found["watching"] = True
    with offline() as wanted:
        try:
            _register(import_module(module.split(":")[0]), found)
        except BaseException as error:
            found["error"] = told(error)
    found.pop("watching")
    after = _state()
    found |= {"wanted": wanted, "changed": {name: after[name] for name in before if before[name] != after[name]}}
    found |= {"modules": sorted(set(sys.modules) - modules), "seeded": _seeded(), "drawn": _drawn()}
    found["places"] = {name: _found(place) for name, place in found["places"].items()}  # what they import is no matter
    Path(report).write_text(json.dumps(found, default=repr), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # threads that it left would be waited for


def _register(module: Any, found: dict[str, Any]) -> None:
    for kind in KINDS:
        hook: Any = getattr(module, f"register_{kind}", None)
        if hasattr(hook, "inarch_impl"):
            hook(_recorder(kind, found["registered"]))
    hook = getattr(module, "register_commands", None)
    if hasattr(hook, "inarch_impl"):
        group = Commands()
        hook(group)
        found |= {"commands": list(group.lines()), "places": group.places}


def _found(place: Place) -> str | None:
    """Return why a command cannot be imported from where it is said to be; None: it can."""
    try:
        place.find()
    except BaseException as error:
        return f"{place.address}: {told(error)}"
    return None


def _recorder(kind: str, into: list[Any]) -> Callable[..., None]:
    def register(name: str, build: Callable[..., Any], **facts: Any) -> None:
        plain = {fact: repr(value) for fact, value in facts.items() if not callable(value)}
        into.append([kind, name, getattr(build, "__qualname__", repr(build)), plain])

    return register


def _state() -> dict[str, Any]:
    root = logging.getLogger()
    signals = {number.name: repr(signal.getsignal(number)) for number in signal.valid_signals()
               if isinstance(number, signal.Signals)}  # fmt: skip
    return {
        "the working directory": os.getcwd(),  # noqa: PTH109
        "the environment": dict(os.environ),
        "python's generator": str(random.getstate()),
        "the filters of warnings": [str(entry) for entry in warnings.filters],
        "the root logger": [root.level, [repr(handler) for handler in root.handlers], logging.root.manager.disable],
        "signal handlers": signals,
        "the hooks of the interpreter": [repr(hook) for hook in (sys.excepthook, sys.displayhook, sys.settrace)],
        "the search path": list(sys.path),
        "the standard streams": [repr(stream) for stream in (sys.stdout, sys.stderr, sys.stdin)],
        "how processes are started": multiprocessing.get_start_method(allow_none=True),
        "threads": [thread.name for thread in threading.enumerate()],
    }


def _seeded() -> bool:
    torch: Any = sys.modules.get("torch")
    return bool(torch) and torch.initial_seed() != _TORCH_UNSEEDED


def _drawn() -> str | None:
    """Return where numpy's generator begins, which no two processes have in common unless they seed it."""
    numpy: Any = sys.modules.get("numpy")
    return str(numpy.random.get_state()[1][:4].tolist()) if numpy else None


def _note(found: dict[str, Any], event: str, arguments: tuple[Any, ...]) -> None:
    if "watching" not in found:
        return
    if event in _STARTS:
        found["started"].append(f"{event}: {arguments[0]}")
    elif event in _REMOVES and str(arguments[0]) in found["written"]:  # as tempfile does, to see where it can write
        found["written"].remove(str(arguments[0]))
    elif event in (*_CHANGES, *_REMOVES):
        _add(found, str(arguments[0]))
    elif event == "open" and isinstance(arguments[0], str | bytes) and _writes(*arguments[1:]):
        _add(found, os.fsdecode(arguments[0]))


def _add(found: dict[str, Any], path: str) -> None:
    if path not in found["written"]:
        found["written"].append(path)


def _writes(mode: str | None, flags: int) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or bool(mode and set(mode) & set("wax+"))
