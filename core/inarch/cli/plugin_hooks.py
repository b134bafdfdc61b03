"""`inarch plugins hooks`."""

import click


@click.command()
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """Explain the hook NAME, or all of them: when it is called, what it is given, an example, since which version."""
    from inarch.workflows.hook_pages import document, page

    click.echo(page(name) if name else document(), nl=False)
