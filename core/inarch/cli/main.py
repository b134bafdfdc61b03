"""The door of the command line. A verb's module is imported when it is used, so that `--help` stays fast."""

import errno
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inarch import interruption
from inarch.cli.lazy import Commands
from inarch.errors import InarchError, LostError, PluginError, printable, unknown

if TYPE_CHECKING:
    from inarch.cli.extra import Extra

VERBS = {
    "train": "Train a recipe.",
    "compare": "Compare strategies, and say how sure the difference is.",
    "rank": "Say which of several backbones to fine-tune, without fine-tuning any.",
    "check": "Verify a recipe and its data without training.",
    "evaluate": "Measure a run's bundle on a split.",
    "predict": "Predict files, folders or rows of a table with a bundle.",
    "init": "Look at data and write a recipe that trains.",
    "list": "List what recipes can name, with options.",
    "plugins": "List the plugins, and what is wrong with broken ones.",
    "show": "Show what a run did.",
    "verify": "Hash again everything that a run left behind.",
    "replay": "Take a step again whose loss or gradient was not finite.",
    "cache": "Show the stored features, and keep them small.",
}


class Verbs(Commands):
    """The built-in verbs, and the commands of plugins, asked for when a name is not a verb; none replaces a verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Stop where $INARCH_STRICT_PLUGINS makes what is wrong with a plugin fatal, except to what mends it."""
        if os.environ.get("INARCH_STRICT_PLUGINS", "0") not in ("", "0") and args[:1] != ["plugins"]:
            from inarch.cli.extra import refuse_broken

            refuse_broken(VERBS)
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command by its name, or stop with the nearest match."""
        if name in VERBS:
            return super().get_command(ctx, name)
        extra = self._extra()
        if name not in extra:
            raise click.UsageError(unknown("command", name, [*VERBS, *extra]))
        return extra[name].find()

    def lines(self) -> dict[str, str]:
        """Return the verbs in the order of the help page, then the plugins' commands, with a line each."""
        return {**VERBS, **{name: command.line for name, command in sorted(self._extra().items())}}

    def _extra(self) -> "dict[str, Extra]":
        from inarch.cli.extra import commands

        return commands(VERBS)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="inarch")
def cli() -> None:
    """Transfer learning with plugins: a small labelled data set in, a measured and servable model out.

    Start with `inarch init DATA --domain vision`, then `inarch train RECIPE`.
    """


for verb, line in VERBS.items():
    cli.add_lazy(verb, f"inarch.cli.{verb}:command", line)


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2, an interruption is 130 or 143."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # threads that spin starve a shared machine; read at torch's import
    if "TORCHELASTIC_RUN_ID" in os.environ:
        interruption.end_with_parent()  # or a worker would go on when its launcher was killed
    try:
        with interruption.heeded():
            cli(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_request:
        sys.exit(exit_request.exit_code)
    except click.exceptions.NoArgsIsHelpError as help_page:
        click.echo(help_page.format_message())
        sys.exit(2)
    except click.ClickException as error:
        sys.exit(_fail(error.format_message()))
    except InarchError as error:
        _show_traceback(error)
        sys.exit(_fail(str(error), type(error)))
    except (KeyboardInterrupt, click.Abort) as stop:  # click makes the other of the one
        sys.exit(_stop(getattr(stop.__cause__ or stop, "exit_code", 128 + signal.SIGINT)))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO) or error.filename:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or python would fail again when it ends
        sys.exit(_fail(f"the output could not be written: {error.strerror}"))


def _show_traceback(error: InarchError) -> None:
    """Print where a plugin failed, for whoever writes it: where $INARCH_STRICT_PLUGINS asks for it."""
    if isinstance(error, PluginError) and os.environ.get("INARCH_STRICT_PLUGINS", "0") not in ("", "0"):
        cause = error.__cause__
        for note in getattr(error, "__notes__", [] if cause is None else traceback.format_exception(cause)):
            click.echo("\n".join(map(printable, note.rstrip().split("\n"))), err=True)


def _stop(code: int) -> int:
    hints = {
        "train": " It goes on with: inarch train ... --resume",
        "compare": " The same command goes on with it.",
    }
    if os.environ.get("RANK", "0") == "0" and "INARCH_ERRORS" not in os.environ:  # of several processes, one tells
        click.echo(f"\nInterrupted.{hints.get(''.join(sys.argv[1:2]), '')}", err=True)
    return code


def _fail(message: str, kind: type = click.ClickException) -> int:
    process, errors = os.environ.get("RANK", "0"), os.environ.get("INARCH_ERRORS")
    if errors:  # of several processes, the one that started them tells
        rank = "result" if issubclass(kind, LostError) else "reason"
        Path(errors, f"{rank}-{process}-{kind.__name__}").write_text(message, encoding="utf-8")
    else:
        click.echo(f"Error: {message}" if process == "0" else f"Error in process {process}: {message}", err=True)
    return 2
