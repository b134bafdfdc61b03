"""Every plugin as a process of its own finds it, whatever it does there.

That process imports all plugins in the order in which every command does, and tells along the way, a JSON line each,
which one's turn it is. Where it ends or hangs, another one goes on without the plugin whose turn it was.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from inarch import switches
from inarch.guard import Plugin

LIMIT = 10.0
"""Seconds that the import of a plugin may take."""
_PROGRAM = """\
import json, sys
path, writer, wrong = map(json.loads, sys.argv[1:])
sys.path[:] = path
from inarch.cli.survey import tell
tell(writer, wrong)
"""


def survey(limit: float = LIMIT) -> list[Plugin]:
    """Return all plugins: what they register, how long that takes, what is wrong. None is imported in this process."""
    switches.disabled()  # what cannot be read is said here, by its own error
    wrong: dict[str, str] = {}
    while True:
        turn = None
        reader, writer = os.pipe()
        command = [sys.executable, "-P", "-c", _PROGRAM, *map(json.dumps, (sys.path, writer, wrong))]
        environment = {key: value for key, value in os.environ.items() if key != "INARCH_STRICT_PLUGINS"}
        child = subprocess.Popen(
            command, env=environment, pass_fds=[writer], stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )
        os.close(writer)
        try:
            for line in _lines(reader, limit):
                if "plugins" in line:
                    return [Plugin(**told) for told in line["plugins"]]
                turn = line["turn"]
            reason = _reason(child, limit)
        finally:
            os.close(reader)
            _end(child)
        if turn is None or turn in wrong:
            raise RuntimeError(f"plugins cannot be looked at: the process {reason}")
        wrong[turn] = reason


def _lines(reader: int, limit: float) -> Iterator[dict[str, Any]]:
    """Yield what the process tells, until it ends or has told nothing for `limit` seconds."""
    held = b""
    until = time.monotonic() + limit
    while select.select([reader], [], [], max(0.0, until - time.monotonic()))[0]:
        read = os.read(reader, 65536)
        if not read:
            return
        *whole, held = (held + read).split(b"\n")
        for line in whole:
            yield json.loads(line)
            until = time.monotonic() + limit


def _reason(child: "subprocess.Popen[bytes]", limit: float) -> str:
    """Say how the process ended, or that it did not."""
    try:
        code = child.wait(0.2)
    except subprocess.TimeoutExpired:
        return f"importing it hangs: it had not ended after {limit:.0f} s"
    if code < 0:
        return f"importing it crashes the process: {signal.Signals(-code).name}"
    return f"importing it ends the process, with exit code {code}"


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End the process and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def tell(writer: int, wrong: dict[str, str]) -> None:
    """Load all plugins but those that are `wrong`, and write whose turn it is, then what was found."""
    from inarch.cli import extra
    from inarch.cli.main import VERBS
    from inarch.plugins import Plugins, candidates

    os.set_inheritable(writer, False)
    pipe = os.fdopen(writer, "wb")

    def say(**told: Any) -> None:
        pipe.write(json.dumps(told).encode() + b"\n")
        pipe.flush()

    plugins = Plugins()
    for plugin in candidates():
        if plugin.name in wrong:
            plugin.error, plugin.advice = wrong[plugin.name], f"inarch plugins disable {plugin.name}"
        if plugins.note(plugin):
            say(turn=plugin.name)
            plugins.load(plugin)
    extra.commands_of(plugins, VERBS, lambda plugin: say(turn=plugin.name))
    say(plugins=[asdict(plugin) for plugin in plugins.known.values()])

    sys.stderr.flush()
    os._exit(0)  # a thread that a plugin started would be waited for
