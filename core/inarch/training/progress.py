"""What a run tells while it works. The base says nothing; the command line shows a live bar and a table."""

from collections.abc import Mapping
from typing import Any


class Progress:
    """Receives what happens in a run; on the main process only."""

    def say(self, text: str) -> None:
        """Take a sentence for people."""

    def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
        """Take note of a finished step."""

    def evaluating(self, split: str) -> None:
        """Take note that a split is being evaluated."""

    def epoch(self, line: Mapping[str, Any], best: bool) -> None:
        """Take the new line of metrics.jsonl, and whether it is the best so far."""
