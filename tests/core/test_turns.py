"""What is fetched once per machine, with processes that want it at the same time."""

import multiprocessing
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from inarch.turns import cache_folder, turn

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of other tests leave no marks here."""
    monkeypatch.setenv("INARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a file of weights, and what was asked for of the server."""
    asked: list[str] = []

    class Counting(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            asked.append(self.path)

    (tmp_path / "served").mkdir()
    torch.save({"weight": torch.arange(5)}, tmp_path / "served" / "w.pth")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory=str(tmp_path / "served")))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/w.pth", asked
    server.shutdown()
    server.server_close()


def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, *several: tuple[Any, ...]) -> list[Any]:
    """Start a function of `group_turns` in a process for each tuple of arguments."""
    monkeypatch.syspath_prepend(str(HERE))
    import group_turns

    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=getattr(group_turns, name), args=arguments) for arguments in several]
    for process in started:
        process.start()
    return started


def test_processes_that_want_the_same_file_fetch_it_once_and_say_for_whom_they_wait(
    served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (url, asked), together = served, multiprocessing.get_context("spawn").Barrier(3)
    started = start(monkeypatch, tmp_path, "fetch", *((url, tmp_path, number, together, 0.7) for number in range(3)))
    for process in started:
        process.join(100)
    assert [process.exitcode for process in started] == [0, 0, 0]
    assert len(asked) == 1
    assert all(torch.equal(torch.load(tmp_path / f"{n}.pt")["weight"], torch.arange(5)) for n in range(3))
    said = [(tmp_path / f"{number}.log").read_text() for number in range(3)]
    (first,) = [number for number, told in enumerate(said) if not told]
    waited = f"waiting for process {started[first].pid}, which fetches a file"
    assert sum(waited in told for told in said) == 2


def test_who_is_killed_in_its_turn_gives_way(
    served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (process,) = start(monkeypatch, tmp_path, "die", (tmp_path,))
    deadline = time.monotonic() + 60
    while not (tmp_path / "taken").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.join()
    began = time.monotonic()
    with turn("a file"):
        assert time.monotonic() - began < 2


def test_a_turn_that_failed_is_taken_again() -> None:
    with pytest.raises(ValueError, match="no network"), turn("a file"):
        raise ValueError("no network")
    assert not list(cache_folder().rglob("*.done"))
    went = False
    with turn("a file"):
        went = True
    assert went
    assert list(cache_folder().rglob("*.done"))


def test_without_a_folder_for_locks_everybody_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("INARCH_CACHE", str(tmp_path / "file"))
    with turn("a file"):
        pass
