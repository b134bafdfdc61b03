"""One process of a group: a training, and a log of every file that it opens for writing, moves or makes in the run."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import inarch

WRITING = os.O_WRONLY | os.O_RDWR
MASKS = (0o022, 0o027, 0o077)
"""By process: files that libraries write past python show by their permissions whose they are."""


def watched(recipe: Path, options: Mapping[str, Any], out: Path) -> None:
    """Train, and write RANK.writes.json beside the run: the names that this process wrote."""
    written: set[str] = set()

    def look(event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(given[0], str | bytes | Path) and given[2] & WRITING:
            written.add(os.fsdecode(given[0]))
        elif event == "os.rename":
            written.update(map(os.fsdecode, given[:2]))
        elif event in ("os.mkdir", "os.remove", "os.rmdir"):
            written.add(os.fsdecode(given[0]))

    rank = int(os.environ.get("RANK", "0"))
    os.umask(MASKS[rank])
    sys.addaudithook(look)
    inarch.train(recipe, options, out=out)
    inside = sorted(name for name in written if Path(name).is_relative_to(out))
    (out.parent / f"{rank}.writes.json").write_text(json.dumps(inside))
