"""The suite has no network: neither its own process nor those that it starts, whatever environment they are given."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REACH = "import socket\ntry: socket.create_connection(('192.0.2.1', 80), 1)\nexcept OSError as error: print(error)"
PLUGIN = "import socket\nsocket.create_connection(('192.0.2.1', 80), 1)"


@pytest.fixture
def reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What tried to leave this machine; here that is no failure of the suite."""
    monkeypatch.setenv("INARCH_REACHED", str(tmp_path / "reached"))
    return lambda: (tmp_path / "reached").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "reach",
    [
        lambda _: socket.create_connection(("192.0.2.1", 80), 1),
        lambda _: socket.getaddrinfo("example.invalid", 443),
        lambda opened: opened.connect(("192.0.2.1", 80)),
        lambda opened: opened.sendto(b"", ("192.0.2.1", 53)),
    ],
)
def test_what_leaves_this_machine_is_refused_and_noted(
    reach: Callable[[socket.socket], object], reached: Callable[[], str]
) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as opened, pytest.raises(OSError, match="the suite has no network"):
        reach(opened)
    assert "test_what_leaves_this_machine" in reached()


@pytest.mark.parametrize("environment", [None, {}, {"PYTHONPATH": "/nowhere"}])
def test_so_is_what_a_process_of_a_test_wants(environment: dict[str, str] | None, reached: Callable[[], str]) -> None:
    nested = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {REACH!r}], env={{}})"
    for code in (REACH, nested):
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert "the suite has no network" in ended.stdout
    assert reached().count("192.0.2.1") == 2


def test_so_is_what_a_command_wants(inarch, install, reached: Callable[[], str]) -> None:
    site = install("mine", PLUGIN)
    assert "the suite has no network" in inarch("plugins", env={"PYTHONPATH": str(site)}).stdout


def test_this_machine_can_be_reached() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        socket.create_connection(server.getsockname()).close()
    assert socket.getaddrinfo("localhost", 80) and os.environ["INARCH_REACHED"]
