"""``design-loop ledger``: the database of campaigns itself."""

from __future__ import annotations

import typer

from design_loop.cli.output import WORKDIR, StoreOption, WorkdirOption, store_target

app = typer.Typer(help="Look after the database that campaigns are kept in.", no_args_is_help=True)


@app.callback()
def _ledger() -> None:
    """Make `upgrade` a command of its own although it is the only one."""


@app.command()
def upgrade(workdir: WorkdirOption = WORKDIR, store: StoreOption = None) -> None:
    """Bring a ledger of an older version up to date; an SQLite file is copied first.

    `campaign run` and `campaign resume` do so by themselves. A campaign that runs has to be stopped
    before.
    """
    from design_loop.ledger import Ledger
    from design_loop.ledger.migrations import head

    with Ledger(store_target(workdir, store), create=False, upgrade=True) as ledger:
        typer.echo(f"{ledger.where}: layout {head()}, up to date")
