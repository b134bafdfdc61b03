"""`inarch verify`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(run: Path, as_json: bool) -> None:
    """Hash again everything that RUN left behind; a comparison, a ladder or a bundle, too.

    Exit code 0: all is whole. 1: something is damaged or missing. 2: there is no run.
    """
    from inarch.features.store import show_size
    from inarch.workflows.verify import verify

    seen = verify(run)
    if as_json:
        click.echo(json.dumps({**asdict(seen), "directory": str(run), "whole": seen.whole}, indent=1))
        sys.exit(not seen.whole)
    wide = max(len(part.what) for part in seen.parts)
    for part in seen.parts:
        told = click.style("DAMAGED", fg="red", bold=True) if part.wrong else click.style("ok", fg="green")
        files = f"{part.files:>4} file{'s' if part.files != 1 else ' '}"
        click.echo(f"  {part.what:{wide}}  {files}  {show_size(part.bytes):>10}  {told}")
        for reason in part.wrong:
            click.secho(f"      {reason}", fg="red")
    for note in seen.notes:
        click.secho(f"Note: {note}.", fg="yellow")
    wrong = sum(len(part.wrong) for part in seen.parts)
    told = f"{wrong} damaged or missing" if wrong else "whole"
    count, size = sum(part.files for part in seen.parts), show_size(sum(part.bytes for part in seen.parts))
    state = f"a {seen.kind}{'' if seen.finished else ' that has not ended'}, {count} files, {size}"
    click.secho(f"{run}: {told}; {state}", fg="red" if wrong else None, bold=True)
    sys.exit(not seen.whole)
