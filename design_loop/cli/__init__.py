"""The command line: noun, verb. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from defects.errors import ConfigError, DesignLoopError, HostError, RuleError, TargetError
from design_loop.cli import (
    adapter,
    base,
    bench,
    campaign,
    dashboard,
    data,
    generate,
    keys,
    ledger,
    serve,
    surrogate,
)
from design_loop.cli.output import StderrHandler, UsageError, fail

#: What options and files can have wrong; anything else is an error of the work itself.
_USAGE = (ConfigError, UsageError, TargetError, HostError, RuleError)


class _InOrder(TyperGroup):
    """Commands in the order in which a newcomer meets them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands."""
        return [
            "campaign", "generate", "data", "surrogate", "base", "adapter", "bench", "serve",
            "dashboard", "keys", "ledger",
        ]  # fmt: skip


app = typer.Typer(
    name="design-loop",
    cls=_InOrder,
    help="Inverse design of point defects in 2D materials: campaigns that run themselves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(campaign.app, name="campaign")
app.add_typer(data.app, name="data")
app.add_typer(base.app, name="base")
app.add_typer(adapter.app, name="adapter")
app.add_typer(surrogate.app, name="surrogate")
app.add_typer(bench.app, name="bench")
app.add_typer(keys.app, name="keys")
app.add_typer(ledger.app, name="ledger")
app.command(name="generate")(generate.generate)
app.command(name="serve")(serve.serve)
app.command(name="dashboard")(dashboard.dashboard)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(version("design-loop"))
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
    debug: bool = typer.Option(
        False, "--debug", envvar="DESIGN_LOOP_DEBUG", help="Show details and traces of errors."
    ),
) -> None:
    level = logging.INFO if debug else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", handlers=[StderrHandler()])
    if debug:
        os.environ["DESIGN_LOOP_DEBUG"] = "1"


def _open_closed_streams() -> None:
    """Let ``... >&- 2>&-`` write to nowhere: the first files opened would get those numbers."""
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(null)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def main() -> None:
    """Run the command line; ends the process.

    Exit codes: 0 success, 2 wrong usage or configuration, 130 interrupted, 1 any other error, also
    that nobody read the output to its end.
    """
    _open_closed_streams()
    try:
        app()
    except _USAGE as error:
        fail(error, 2)
    except DesignLoopError as error:
        fail(error, 1)
    except BrokenPipeError:
        # The reader of our output went away (`... | head`): no error of ours, and nothing to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        # A full disk, a folder without rights: the user's to mend, named by file and reason.
        fail(error, 1)
