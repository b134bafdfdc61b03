"""`inarch replay`."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from inarch.workflows.causes import Example
    from inarch.workflows.replay import Replayed

MOST_TOLD = 5


@click.command()
@click.argument("capsule", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(capsule: Path, as_json: bool) -> None:
    """Take a step again whose loss or gradient was not finite, and look for the cause.

    CAPSULE is what the run left of it (runs/NAME/capsules/step-...), or the run: then its newest. No data is needed.

    Exit code 0: the step came to the same figures, bit for bit. 1: it did not. 2: there is no capsule.
    """
    from inarch.workflows.replay import replay

    found = replay(capsule)
    if as_json:
        click.echo(json.dumps(_plain({**asdict(found), "directory": str(found.directory)}), indent=1))
    else:
        for name, told in _lines(found):
            click.echo(f"{click.style(f'{name:15}', bold=True)}{told}")
    sys.exit(int(not found.reproduced))


def _lines(found: "Replayed") -> Iterator[tuple[str, str]]:
    """Yield what a person wants to know, each with a word that says what it is."""
    causes = found.causes
    cut = f" in micro-batches of {found.micro_batch_size}" if found.micro_batch_size < found.examples else ""
    several = f", {found.processes} processes" if found.processes > 1 else ""
    told = f"{found.step} of {found.run}, phase {found.phase}"
    yield "step", f"{told}: {found.examples} examples{cut}, {found.precision}{several}"
    yield "loss", f"{found.then.loss:.6g} then, {found.now.loss:.6g} now"
    yield "gradient norm", f"{found.then.gradient_norm:.6g} then, {found.now.gradient_norm:.6g} now"
    told = "yes, bit for bit" if found.processes <= 2 else "yes"
    yield "reproduced", click.style(told, fg="green") if found.reproduced else click.style("NO", fg="red", bold=True)
    for note in found.notes:
        yield "", click.style(note, fg="yellow")
    for one in causes.inputs:
        lost = f", {one.non_finite:,} not finite" if one.non_finite else ""
        suspects = f": {_places(one.suspects)}" if one.suspects else ""
        yield "input", f"{one.name} from {one.least:.4g} to {one.most:.4g}{lost}{suspects}"
    name, most = causes.largest
    lost = f"; not finite: {_some(causes.weights)}" if causes.weights else ""
    yield "weights", f"up to {most:.4g} ({name}){lost}"
    broken = any(one.non_finite for one in causes.inputs)
    told = "not finite from the inputs on" if broken else "finite"
    yield "forward", f"the first answer that is not finite: {causes.module}" if causes.module else told
    yield "backward", f"the first gradient that is not finite: {causes.gradient}" if causes.gradient else "finite"
    yield "examples", _blamed(found)
    if causes.fp32 is not None:
        yield "in fp32", "finite" if causes.fp32 else "not finite either"
    for advice in causes.advice:
        yield "hint", click.style(advice, bold=True)


def _blamed(found: "Replayed") -> str:
    alone, together = found.causes.alone, found.causes.together
    if found.now.finite:
        return "not tried one by one, for all is finite now"
    if found.causes.weights:
        return "not tried one by one, for the weights are to blame"
    if len(alone) == found.examples:
        return "each of them is not finite alone"
    if alone:
        return f"{len(alone)} of {found.examples} not finite alone: {_places(alone)}"
    return f"none is not finite alone, but together: {_places(together)}" if together else "none is not finite alone"


def _places(examples: "Sequence[Example]") -> str:
    return _some([one.where for one in examples])


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return ", ".join(names[:MOST_TOLD]) + rest


def _plain(value: object) -> object:
    """Return plain data with numbers that are not finite as text, for JSON has none."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
