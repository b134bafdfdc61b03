"""What a person sees while a run works: a live bar, a line an epoch, and the final table."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from inarch.training.progress import Progress
from inarch.workflows.finish import Result


class Live(Progress):
    """Shows a run in the terminal; where there is no terminal, only its sentences and a line an epoch."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.bar = Bar(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task: Any = None

    def __enter__(self) -> "Live":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        self.console.print(text, markup=False, soft_wrap=True)

    def step(self, done: int, total: int, epoch: int, epochs: int) -> None:
        """Move the bar."""
        if self.task is None:
            self.task = self.bar.add_task("", total=total)
        self.bar.update(self.task, completed=done, total=total, description=f"epoch {min(epoch, epochs)} of {epochs}")

    def evaluating(self, split: str) -> None:
        """Say in the bar that a split is being evaluated."""
        if self.task is not None:
            self.bar.update(self.task, description=f"evaluating {split}")

    def epoch(self, line: Mapping[str, Any], best: bool) -> None:
        """Print the figures of an evaluation."""
        told = [
            f"{split} {name} {value:.4f}" for split in ("train", "valid") for name, value in line.get(split, {}).items()
        ]
        self.console.print(
            f"epoch {line['epoch']:g}: {', '.join(told)}" + (" [green](best so far)[/]" if best else ""), soft_wrap=True
        )


def results(result: Result) -> None:
    """Print the final table."""
    table = Table(
        title=f"{result.split} metrics, weights of step {result.best_step}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for name, side in (("metric", "left"), ("value", "right"), ("95 % interval", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for name, estimate in result.metrics.items():
        interval = "" if estimate.low is None else f"{estimate.low:.4f} to {estimate.high:.4f}"
        table.add_row(name, f"{estimate.value:.4f}", interval)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"{result.seconds:.0f} s. Bundle: {result.directory / 'model'}. Report: {result.directory / 'report.html'}",
        soft_wrap=True,
    )
