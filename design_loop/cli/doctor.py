"""``design-loop campaign doctor``: what is wrong with a campaign, and what mends it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from design_loop.cli.output import (
    WORKDIR,
    Format,
    FormatOption,
    StoreOption,
    WorkdirOption,
    print_json,
    same_place,
    store_target,
)

if TYPE_CHECKING:
    from design_loop.doctor import Diagnosis


def doctor(
    campaign: Annotated[
        str, typer.Argument(metavar="ID", help="Campaign, or the beginning of its id.")
    ],
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Mend what the program can mend; nothing of it under a living driver."
        ),
    ] = False,
    retry: Annotated[
        bool,
        typer.Option(
            "--retry-quarantined",
            help="Let oracle calls that were given up be tried anew, by the step verify that runs "
            "or the next one; also under a living driver.",
        ),
    ] = False,
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Explain the state of a campaign and mend it; exit code 1 if something is left to do.

    It mends what a dead driver left: lease, claims, an open step, unfinished folders. Steps that
    failed, a damaged ledger and lost models it only explains. Nothing finished is ever changed or
    deleted.
    """
    from design_loop.doctor import examine
    from design_loop.ledger import Ledger

    with Ledger(store_target(workdir, store), create=False, upgrade=fix) as ledger:
        name = ledger.campaign(campaign).id
        released = ledger.release_quarantined(name) if retry else []
        diagnosis = examine(ledger, name, mend=fix)
        calls = ledger.quarantined(name) if fmt is Format.json else []
    if fmt is Format.json:
        print_json(
            {
                "campaign": diagnosis.campaign,
                "state": str(diagnosis.state),
                "summary": diagnosis.summary,
                "healthy": diagnosis.healthy,
                "released": released,
                "findings": [f.to_dict() for f in diagnosis.findings],
                "quarantined": [
                    {
                        "candidate": c.candidate,
                        "oracle_key": c.oracle_key,
                        "round": c.round,
                        "tries": c.tries,
                        "kind": c.failure.kind,
                        "error": c.failure.error,
                        "traceback": c.failure.traceback,
                        "time": c.time.isoformat(),
                    }
                    for c in calls
                ],
            }
        )
    else:
        _print(diagnosis, released, same_place(workdir, store))
    if not diagnosis.healthy:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis, released: list[str], place: str) -> None:
    typer.echo(f"{diagnosis.campaign}: {diagnosis.summary}")
    if released:
        typer.echo(_tried_anew(diagnosis, len(released), place))
    for finding in diagnosis.findings:
        typer.echo(f"{finding.severity}: {finding.check}: {finding.what}")
        if finding.mended:
            typer.echo(f"  mended: {finding.remedy}")
        elif finding.advice:
            # The doctor knows no options; a command has to find the same campaign.
            advice = re.sub(
                r"(`design-loop campaign [^`]*)", lambda m: m[1] + place, finding.advice
            )
            typer.echo(f"  {advice}")
    if any(f.mend is not None and not f.mended for f in diagnosis.findings):
        typer.echo("`--fix` mends what it can of this")
    if diagnosis.healthy:
        typer.echo("nothing is left to do")


def _tried_anew(diagnosis: Diagnosis, count: int, place: str) -> str:
    """When released calls have their turn: a campaign that is done runs no step by itself."""
    if diagnosis.state == "done":
        return (
            f"{count} oracle calls are tried anew in a further round: `design-loop campaign extend "
            f"{diagnosis.campaign} --rounds 1{place}`, then resume it"
        )
    return f"{count} oracle calls are tried anew by the step verify that runs, or the next one"
