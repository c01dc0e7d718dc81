"""``design-loop campaign watch``: the live view of a campaign that runs elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from design_loop.cli.output import WORKDIR, StoreOption, WorkdirOption, stoppable, store_target


def watch(
    campaign: Annotated[
        str, typer.Argument(metavar="ID", help="Campaign, or the beginning of its id.")
    ],
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
) -> None:
    """Look on while a campaign runs, here or on another machine; ends when it has ended.

    Reads the ledger only: leaving with Ctrl-C changes nothing.
    """
    from design_loop.ledger import Ledger
    from design_loop.progress import campaign_progress
    from design_loop.progress.follow import Follower, follow
    from design_loop.progress.state import DisplayState

    state = DisplayState()
    with Ledger(store_target(workdir, store), create=False) as ledger:
        found = ledger.campaign(campaign).id
        with (
            stoppable(lambda: f"{found} goes on as before; `campaign watch` looks again"),
            campaign_progress(state) as progress,
        ):
            ended = follow(
                Follower(ledger, found, progress, state),
                lost=lambda text: progress.message("warning", text),
            )
    typer.echo(f"{found}: {ended}; `design-loop campaign show {found}` tells what it found")
