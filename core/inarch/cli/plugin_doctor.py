"""`inarch plugins doctor`."""

import json
import sys
from dataclasses import asdict

import click

from inarch.cli.plugins import head, paragraph


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Say what is wrong with plugins, and what to type: broken ones, conflicts, packages that are missing or of another
    version, plugins that were built for another inarch, disabled ones.

    Exit code 1: something is wrong. A process of its own imports the plugins, so that none can stop this.
    """
    from inarch.cli.diagnosis import diagnose

    known, findings = diagnose()
    wrong = sum(finding.wrong for finding in findings)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
        sys.exit(1 if wrong else 0)
    names = {plugin.name: plugin for plugin in known}
    for name in dict.fromkeys([*names, *(finding.plugin for finding in findings)]):
        own = [finding for finding in findings if finding.plugin == name]
        title = head(names[name]) if name in names else click.style(name, bold=True)
        click.echo(title + ("" if own else click.style("  in order", fg="green")))
        for finding in own:
            if finding.wrong:
                click.secho(paragraph(f"wrong: {finding.what}"), fg="red")
            else:
                click.echo(paragraph(f"note: {finding.what}"))
            if finding.type:
                click.echo(f"  type: {finding.type}")
    things = f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong"
    click.echo(f"\n{things if wrong else 'Nothing is wrong'}.")
    sys.exit(1 if wrong else 0)
