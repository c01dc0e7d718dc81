"""``design-loop campaign track``: send a campaign to a tracking server."""

from __future__ import annotations

from typing import Annotated

import typer

from design_loop.cli.output import WORKDIR, StoreOption, WorkdirOption, store_target


def track(
    campaign: Annotated[
        str, typer.Argument(metavar="ID", help="Campaign, or the beginning of its id.")
    ],
    uri: Annotated[
        str | None,
        typer.Option(
            help="Server or database, instead of what the campaign file says.", show_default=False
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(help="Experiment, instead of that of the file.", show_default=False),
    ] = None,
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
) -> None:
    """Send a campaign to MLflow, whole or what is missing there; finished ones, too."""
    from design_loop.config import TrackingConfig
    from design_loop.ledger import Ledger
    from design_loop.tracking import track_campaign

    with Ledger(store_target(workdir, store), create=False) as ledger:
        found = ledger.campaign(campaign)
        settings = TrackingConfig.model_validate(found.config.get("tracking") or {})
        changed = {
            "kind": "mlflow",
            "uri": uri or settings.uri,
            "experiment": experiment or settings.experiment,
        }
        settings = settings.model_copy(update=changed)
        run, told = track_campaign(ledger, found.id, settings, files=settings.artifacts)
    news = f"{told} {'run' if told == 1 else 'runs'} told something new"
    typer.echo(f"{found.id}: run {run} of experiment {settings.experiment}, {news}")
