"""``design-loop campaign show``: a campaign in one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from design_loop.cli.output import (
    WORKDIR,
    Format,
    FormatOption,
    StoreOption,
    WorkdirOption,
    print_json,
    print_tables,
    same_place,
    store_target,
)

if TYPE_CHECKING:
    from design_loop.summary import CampaignSummary


def show(
    campaign: Annotated[
        str, typer.Argument(metavar="ID", help="Campaign, or the beginning of its id.")
    ],
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
    top: Annotated[int, typer.Option(min=0, help="How many candidates to list.")] = 5,
    details: Annotated[
        bool,
        typer.Option(
            "--details", help="Also time per step, drops, settings and diversity, round by round."
        ),
    ] = False,
    pareto: Annotated[
        bool, typer.Option("--pareto", help="Only the Pareto front and how it grew.")
    ] = False,
    fmt: FormatOption = Format.table,
) -> None:
    """Show a campaign in one screen: where it stands, what it found, what to do next."""
    from design_loop.adaptation.told import settings_tables
    from design_loop.ledger import Ledger
    from design_loop.overview import overview
    from design_loop.overview_view import commands, overview_dict, overview_page

    with Ledger(store_target(workdir, store), create=False) as ledger:
        seen = overview(ledger, campaign)
        adaptation = settings_tables(ledger, seen.summary) if details else []
    if pareto:
        _show_front(seen.summary, fmt)
        return
    if fmt is Format.json:
        print_json(overview_dict(seen, top))
        return
    print_tables(overview_page(seen, top))
    for line in commands(seen, same_place(workdir, store)):
        typer.echo(line)
    if details:
        from design_loop.tables import drops_table, times_table

        tables = [times_table(seen.summary.rounds), *adaptation]
        if seen.summary.funnel.drops:
            tables.append(drops_table(seen.summary))
        print_tables(*tables)


def _show_front(summary: CampaignSummary, fmt: Format) -> None:
    from design_loop.pareto import front_of
    from design_loop.tables import pareto_tables

    front = front_of(summary)
    if fmt is Format.json:
        print_json(front)
    else:
        print_tables(*pareto_tables(front, summary.own))
