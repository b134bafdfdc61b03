"""`inarch predict`."""

import json
import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--column", help="The input column, for tables whose column is called otherwise than in training.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line an input.")
def command(bundle: Path, inputs: tuple[str, ...], column: str | None, as_json: bool) -> None:
    """Predict INPUTs with BUNDLE (runs/NAME/model): files, folders, tables, or - for the lines of standard input.

    Memory stays constant.
    """
    from inarch.workflows.predict import predict

    failed = 0
    for source, prediction in predict(bundle, inputs, column):
        failed += "error" in prediction
        click.echo(json.dumps({"input": source, **prediction}, default=str) if as_json else _line(source, prediction))
    if failed:
        click.echo(f"Error: {failed} {'input' if failed == 1 else 'inputs'} could not be read", err=True)
        sys.exit(2)


def _line(source: Any, prediction: dict[str, Any]) -> str:
    if "error" in prediction:
        return f"{source}: cannot be read: {prediction['error']}"
    answer = prediction if "start" in prediction else next(iter(prediction.values()))
    score = f" ({prediction['score']:.3f})" if "score" in prediction else ""
    return f"{source}: {_told(answer) or '(none)'}{score}"


def _told(answer: Any) -> str:
    if isinstance(answer, list):
        return ", ".join(map(_told, answer))
    if isinstance(answer, dict):  # what lies at a place, with its label
        place = f"[{answer['start']}, {answer['end']})"
        label = f" ({answer['label']})" if "label" in answer else ""
        return f"{answer.get('text', place)}{label}"
    return f"{answer:.6g}" if isinstance(answer, float) else str(answer)
