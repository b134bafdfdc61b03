"""One process of several that want the same file of a server, and keep it in the cache of torch's hub."""

import logging
import time
from pathlib import Path
from typing import Any

import torch

from inarch import turns


def fetch(url: str, folder: Path, number: int, together: Any, slow: float = 0.0) -> None:
    """Fetch the file once every process is here; NUMBER.log gets what was said, and NUMBER.pt what was fetched."""
    logging.basicConfig(filename=folder / f"{number}.log")
    turns.FIRST_NOTICE = 0.2
    together.wait()
    with turns.turn("a file"):
        time.sleep(slow)
        state = torch.hub.load_state_dict_from_url(url, str(folder / "hub"), progress=False)
    torch.save(state, folder / f"{number}.pt")


def die(folder: Path) -> None:
    """Take the turn, say so, and wait to be killed."""
    with turns.turn("a file"):
        (folder / "taken").touch()
        time.sleep(60)
