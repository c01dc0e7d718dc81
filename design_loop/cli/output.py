"""What all commands share: options, tables or JSON, progress bars, errors."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from defects.errors import DesignLoopError

if TYPE_CHECKING:
    from defects.rules import Rules


class UsageError(DesignLoopError):
    """Options that do not go together, or name nothing."""


class Format(StrEnum):
    """How to print what a command found."""

    table = "table"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="For people, or for programs.")]
WorkdirOption = Annotated[
    Path,
    typer.Option(envvar="DESIGN_LOOP_WORKDIR", help="Folder of campaigns and their ledger."),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        envvar="DESIGN_LOOP_STORE",
        help="Ledger: an SQLite file, or postgresql://USER@HOST/NAME.",
        show_default="WORKDIR/ledger.sqlite",
    ),
]
WORKDIR = Path("runs")


def store_target(workdir: Path, store: str | None) -> str:
    """Address of the ledger: the one named, or the file in the work folder."""
    return store or str(workdir / "ledger.sqlite")


def same_place(workdir: Path, store: str | None) -> str:
    """The options with which another command finds the same campaigns; passwords are left out."""
    words = "" if workdir == WORKDIR else f" --workdir {workdir}"
    if store is not None:
        words += f" --store {store}" if "://" not in store else " --store ..."
    return words


def make_rules(defects: list[str], low: int, high: int) -> Rules:
    """Rules from options.

    Raises
    ------
    UsageError
        When they contradict themselves.
    """
    from pydantic import ValidationError

    from defects.rules import Rules

    try:
        return Rules(defects=tuple(defects), min_defects=low, max_defects=high)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--defect, --min-defects, --max-defects: {message}") from error


def fail(error: Exception, code: int) -> NoReturn:
    """Print an error without a trace and end the process."""
    if os.environ.get("DESIGN_LOOP_DEBUG"):
        logging.getLogger(__name__).error("", exc_info=error)
    text = str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or error}"
    typer.echo("\n".join([f"design-loop: {text}", *getattr(error, "__notes__", ())]), err=True)
    sys.exit(code)


def print_json(content: Any) -> None:
    """Print plain data as JSON."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def print_tables(*tables: Any) -> None:
    """Print rich tables on the standard output."""
    from rich.console import Console

    console = Console()
    for table in tables:
        console.print(table)


@contextmanager
def bar(description: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on the terminal; nothing elsewhere.

    Yields
    ------
    callable
        ``advance(done, total)``; ``total`` None while unknown.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    shown = console.is_terminal and not console.is_dumb_terminal
    with Progress(*columns, console=console, disable=not shown) as progress:
        task = progress.add_task(description, total=None)

        def advance(done: int, total: int | None = None) -> None:
            progress.update(task, completed=done, total=total)

        yield advance


def quiet_libraries() -> None:
    """Stop transformers from drawing bars of its own, on terminals and in logs."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()


@contextmanager
def stoppable(advice: Callable[[], str]) -> Iterator[None]:
    """End with exit code 130 and a line of advice on Ctrl-C or a polite kill (SIGTERM).

    Parameters
    ----------
    advice
        Says what is kept and how to go on; asked when it is needed.
    """
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; {advice()}", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, previous)


class StderrHandler(logging.Handler):
    """Writes to whatever the standard error stream is at that moment.

    A live display takes the stream over while it runs; a handler that kept the old one would write
    through the middle of it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, warnings and errors with their level."""
        text = self.format(record)
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        with suppress(OSError):  # that nobody reads it any more is no reason to end the work
            print(text, file=sys.stderr, flush=True)
