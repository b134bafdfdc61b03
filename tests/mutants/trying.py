"""Each fault in a process of its own, which begins with everything imported but the plugin."""

import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from group import forked
from mutants.fault import Fault

DISTRIBUTION, PACKAGE, PLUGIN = "inarch-seismic", "inarch_seismic", "seismic"
ANEW = ("works_in_a_process_started_anew", "odd_inputs_are_refused")
"""Checks that import torch once more, five seconds of it: they are run where they are the ones that should notice."""
LIMIT = 300
"""Seconds that a process may take."""


@dataclass
class Tried:
    """What the kit said of a package."""

    caught: dict[str, str] = field(default_factory=dict)
    """Names of checks that failed, with what was seen."""
    passed: int = 0
    seconds: float = 0.0
    broken: str = ""
    """Why the kit itself could not go on; empty: it could."""


def write_package(folder: Path, fault: Fault | None = None) -> Path:
    """Write the scaffold's package as pip would install it, with a fault; return the folder for sys.path."""
    from inarch.workflows.scaffold import scaffold

    written = scaffold(DISTRIBUTION, "timeseries", folder)
    site = folder / "site"
    shutil.copytree(written / "src", site)
    information = site / f"{PACKAGE}-0.1.0.dist-info"
    information.mkdir()
    told = ["Metadata-Version: 2.4", f"Name: {DISTRIBUTION}", "Version: 0.1.0", "License-Expression: Apache-2.0",
            "Requires-Dist: inarch>=0.1,<0.2"]  # fmt: skip
    (information / "METADATA").write_text("\n".join(told) + "\n")
    (information / "entry_points.txt").write_text(f"[inarch]\n{PLUGIN} = {PACKAGE}\n")
    names = [path.relative_to(site) for path in sorted(site.rglob("*")) if path.is_file()]
    (information / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    if fault is not None:
        place = (information if fault.file == "METADATA" else site / PACKAGE) / fault.file
        text = place.read_text(encoding="utf-8")
        if text.count(fault.before) != 1:
            raise ValueError(f"{fault.name}: {fault.file} has {text.count(fault.before)} times {fault.before!r}")
        place.write_text(text.replace(fault.before, fault.after), encoding="utf-8")
    return site


def try_all(
    faults: Sequence[Fault], folder: Path, processes: int = 2, only_expected: bool = False
) -> Iterator[tuple[Fault, Tried]]:
    """Yield what the kit said of each fault, as it is known."""
    jobs = [(fault.name, fault.kind, [fault.check], fault) for fault in faults]
    for number, (_, tried) in _each(jobs, folder, processes, only_expected):
        yield faults[number], tried


def try_good(kinds: Sequence[str], folder: Path, processes: int = 2) -> dict[str, Tried]:
    """Return what the kit says of the package as it is, by kind of component; all of its checks are run."""
    jobs: list[Any] = [(kind, kind, list(ANEW), None) for kind in kinds]
    return {name: tried for _, (name, tried) in _each(jobs, folder, processes, False)}


def _each(jobs: Sequence[Any], folder: Path, processes: int, only: bool) -> Iterator[tuple[int, tuple[str, Tried]]]:
    context = forked()
    waiting, running = list(enumerate(jobs)), dict[Any, Any]()
    while waiting or running:
        while waiting and len(running) < processes:
            number, (name, kind, checks, fault) = waiting.pop(0)
            site = write_package(_made(folder / f"{number}-{kind}"), fault)
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=_member, args=(send, str(site), kind, checks, only))
            process.start()
            send.close()
            running[receive] = number, name, process, time.monotonic()
        for ready in wait(list(running), 1.0):
            number, name, process, _ = running.pop(ready)
            yield number, (name, _received(ready))
            process.join()
        for receive, (number, name, process, started) in list(running.items()):
            if time.monotonic() - started > LIMIT:
                process.kill()
                running.pop(receive)
                yield number, (name, Tried(broken=f"not done after {LIMIT} seconds"))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _received(receive: Any) -> Tried:
    try:
        found: Tried = receive.recv()
    except EOFError:
        return Tried(broken="the process ended without a word")
    return found


def _member(send: Connection, site: str, kind: str, checks: Sequence[str], only: bool) -> None:
    """Run a kind's checks in this process, and tell what they said."""
    tried, started = Tried(), time.monotonic()
    os.environ |= {"INARCH_PLUGINS": PLUGIN, "PYTHONPATH": os.pathsep.join([site, os.environ.get("PYTHONPATH", "")])}
    sys.path.insert(0, site)
    sys.dont_write_bytecode = True
    try:
        _run(tried, kind, checks, only)
    except BaseException:
        tried.broken = traceback.format_exc()[-2000:]
    tried.seconds = round(time.monotonic() - started, 1)
    send.send(tried)
    send.close()
    from inarch.testing import spawned

    spawned.end()
    os._exit(0)


def _run(tried: Tried, kind: str, checks: Sequence[str], only: bool) -> None:
    from inarch.plugins import loaded
    from inarch.testing import catalogue
    from inarch.testing.cases import PluginCase
    from inarch.testing.check import Inapplicable, Violation
    from inarch.testing.surroundings import first_environment

    first_environment()
    plugins = loaded()
    plugin = plugins.known[PLUGIN]
    cases: list[Any] = [PluginCase(plugin)]
    if kind != "plugins":
        entries = [entry for entry in plugins.components[kind].values() if entry.plugin == PLUGIN]
        cases = [case for entry in entries for case in catalogue.cases_of(entry)] or cases
    for case in cases:
        for check in catalogue.planned(case):
            if check.name not in checks and (only or check.name in ANEW):
                continue
            try:
                check(case)
            except Inapplicable:
                continue
            except Violation as violation:
                tried.caught.setdefault(check.name, violation.seen[:300])
            else:
                tried.passed += 1
