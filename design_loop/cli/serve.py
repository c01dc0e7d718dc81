"""``design-loop serve``: models, surrogate and campaigns over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from design_loop.cli.output import WORKDIR, StoreOption, UsageError, WorkdirOption


def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML; by default the small base model and the campaigns of --workdir.",
        ),
    ] = None,
    campaigns_only: Annotated[
        bool, typer.Option("--campaigns-only", help="Campaigns alone, without a language model.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Without --config: port; 0 takes a free one.")
    ] = 0,
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
) -> None:
    """Serve models, surrogate and campaigns on this machine until Ctrl-C."""
    from design_loop.server.extensions import extensions_of
    from design_loop.server.settings import CampaignsSettings, ServerSettings, load_server
    from serve.app import run_forever
    from serve.config import ServeConfig

    if config is not None:
        if campaigns_only:
            raise UsageError("--campaigns-only goes without --config: the file says what is served")
        settings = load_server(config)
    else:
        from training.bundled import SMALL, resolve_base

        campaigns = CampaignsSettings(workdir=workdir, store=store).resolved_against(Path.cwd())
        base = None if campaigns_only else resolve_base(SMALL)
        settings = ServerSettings(ServeConfig(base_model=base, port=port), campaigns)
    run_forever(
        settings.serve,
        lambda text: typer.echo(text, err=True),
        extensions=extensions_of(settings),
    )
