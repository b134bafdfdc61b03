"""No process of the suite reaches beyond this machine: what tries is refused, and noted in $INARCH_REACHED.

Python imports this where this folder is on its path; conftest.py runs it in the process of the tests, and from there
every Python process that is started gets it, whatever its environment.
"""

import os
import sys

_ADDRESSES = ("socket.connect", "socket.sendto", "socket.sendmsg")
_NAMES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_HERE = ("", "localhost", "::", "::1", "0.0.0.0", os.uname().nodename)
_FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  (every process would import pathlib)


def _watch(event, arguments):
    if event in _ADDRESSES:
        address = arguments[1]
        _refuse_beyond(event, address[0] if isinstance(address, tuple) else None)  # else a socket that is a file
    elif event in _NAMES:
        _refuse_beyond(event, arguments[0])
    elif event == "subprocess.Popen" and arguments[3] is not None:
        _hand_on(arguments[3])


def _refuse_beyond(event, host):
    host = host.decode(errors="replace") if isinstance(host, bytes) else host
    if not isinstance(host, str) or host in _HERE or host.startswith("127."):
        return
    if reached := os.environ.get("INARCH_REACHED"):
        with open(reached, "a") as file:  # noqa: PTH123
            file.write(f"{os.environ.get('PYTEST_CURRENT_TEST') or ' '.join(sys.argv)}: {event} {host}\n")
    raise OSError(f"the suite has no network: {event} {host}")


def _hand_on(environment):
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    if _FOLDER not in paths:
        environment["PYTHONPATH"] = os.pathsep.join([path for path in [*paths, _FOLDER] if path])
    if "INARCH_REACHED" in os.environ:
        environment.setdefault("INARCH_REACHED", os.environ["INARCH_REACHED"])


_hand_on(os.environ)
sys.addaudithook(_watch)
